import { LRUCache } from 'lru-cache';
import type { Config } from '../config/config.ts';
import type { Acceptance } from '../cache/acceptance.ts';
import type { IdentitySeal } from '../cache/identity-seal.ts';
import { createTagPolicy } from '../cache/tag-policy.ts';
import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import { parseRoute, type Route } from '../registry/route.ts';
import type { Fills } from '../store/fills.ts';
import type { LinkTable } from '../store/index/link-table.ts';
import type { ReplyTable } from '../store/index/reply-table.ts';
import type { TagTable } from '../store/index/tag-table.ts';
import type { OnFault } from '../store/index/writer.ts';
import type { Store } from '../store/store.ts';
import { createAdmitted } from '../upstream/admitted.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { asSent } from '../upstream/identity.ts';
import type { IssuedTokens } from '../upstream/issued-tokens.ts';
import type { RateLimits } from '../upstream/rate-limits.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { createAccess } from './access.ts';
import { createPullBlob } from './blob.ts';
import type { Buffers } from './buffers.ts';
import type { Exchange } from './exchange.ts';
import { createCheckExistence } from './existence.ts';
import { createPullListing } from './listing.ts';
import { createPullManifest } from './manifest.ts';
import { noticeRefusals } from './notice-refusals.ts';
import { createObjects } from './object.ts';
import { createPassThrough } from './pass-through.ts';
import { createPing } from './ping.ts';
import { createPump } from './pump.ts';
import { createPermitPush } from './push-permission.ts';
import { createPush } from './push.ts';
import { sendError } from './send-error.ts';
import { createSendObject } from './send-object.ts';
import { createTagCheck, createTagFetch } from './tag-check.ts';
import { createResolveTag, type PushCount } from './tag-resolve.ts';
import { createPullTag } from './tag.ts';
import { createPassToken, isTokenRequest } from './token.ts';
import type { Turns } from './turns.ts';
import { throwAwayUnread } from './unread.ts';
import type { Uploads } from './uploads.ts';

/** Answers exchanges by one configuration, whatever happens; neither rejects. */
export interface Pulls {
  /** Answers for a registry, from the cache where it can. */
  serve(exchange: Exchange): Promise<void>;
  /** Sends a request of a host that is no registry on, and its answer back. */
  forward(exchange: Exchange): Promise<void>;
}

export interface PullParts {
  readonly config: Config;
  readonly store: Store;
  readonly fills: Fills;
  readonly links: LinkTable;
  readonly tags: TagTable;
  readonly replies: ReplyTable;
  readonly acceptance: Acceptance;
  /** What stands on the disk for an identity. */
  readonly seal: IdentitySeal;
  readonly upstream: Upstream;
  /** The credentials of which clients without any may be given what they open. */
  readonly credentials: Credentials;
  readonly issued: IssuedTokens;
  readonly limits: RateLimits;
  readonly uploads: Uploads;
  /** One of each, whatever the configuration: their bounds are the process's. */
  readonly buffers: Buffers;
  readonly turns: Turns;
  readonly pushes: PushCount;
  readonly intercepts: (host: string, port: number) => boolean;
  readonly onFault: OnFault;
  readonly now: () => number;
}

const MAX_ROUTES = 5_000;
/** What changes something wherever it is sent; POST may be a question as well, for a token. */
const CHANGING: ReadonlySet<string> = new Set(['PUT', 'PATCH', 'DELETE']);

/** The use cases, wired; the route of an exchange decides which one answers it. */
export function createPulls(parts: PullParts): Pulls {
  const { config, store, fills, links, tags, replies, acceptance, credentials, issued, now } = parts;
  const upstream = noticeRefusals(createAdmitted(parts.upstream, config.privateImages), acceptance);
  const access = createAccess({
    links,
    acceptance,
    upstream,
    policy: config.privateImages,
    leash: config.privateCheckInterval,
    outageLeash: config.privateStaleTime,
  });
  const objects = createObjects({ store, fills, access, upstream, stallTimeout: config.proxyReadTimeout });
  const send = createSendObject(createPump(parts.buffers, parts.turns, config.sendTimeout));
  const passThrough = createPassThrough(upstream, config.clientBodyTimeout);
  const pushesShared = config.allowPush && !config.allowPushWithOwnAuth;
  const passToken = createPassToken(upstream, credentials, issued, passThrough, pushesShared);
  const ping = createPing(upstream, credentials, parts.intercepts, replies, now);
  const tagParts = { store, fills, upstream, now };
  const resolve = createResolveTag({
    pushes: parts.pushes,
    tags,
    access,
    limits: parts.limits,
    check: createTagCheck(tagParts),
    fetch: createTagFetch(tagParts),
  });
  const push = createPush({
    links,
    tags,
    replies,
    resolve,
    upstream,
    permit: createPermitPush(upstream, config),
    uploads: parts.uploads,
    body: {
      store,
      spooled: config.proxyRequestBuffering,
      idleTimeout: config.clientBodyTimeout,
      onFault: parts.onFault,
    },
    mounts: config.privateImages === 'shared',
    kept: config.cachePushed,
  });
  const checkExistence = createCheckExistence(upstream);
  const pullListing = createPullListing({ upstream, replies, seal: parts.seal, config, now });
  const pullBlob = createPullBlob(store, fills, access, objects, send, passThrough);
  const pullManifest = createPullManifest(store, access, objects, send, passThrough);
  const policyFor = createTagPolicy(config);
  const pullTag = createPullTag({ tags, store, access, policyFor, resolve, pullManifest, passThrough, now });

  // the same few paths are asked for again and again
  const routes = new LRUCache<string, Route>({ max: MAX_ROUTES });
  function routeOf(target: string): Route {
    const known = routes.get(target);
    if (known !== undefined) return known;
    const route = parseRoute(target);
    if (route.kind === 'blob' || route.kind === 'manifest') routes.set(target, route);
    return route;
  }

  function route(exchange: Exchange): Promise<void> {
    const { request } = exchange;
    const method = request.method ?? 'GET';
    const target = request.url ?? '/';
    const route = routeOf(target);
    if (route.kind === 'v1') {
      throw new BreakwaterError(
        'V1_UNSUPPORTED',
        'the v1 registry protocol is not supported; use a client that speaks v2',
      );
    }
    const reading = method === 'GET' || method === 'HEAD';
    // registries have their uploads anywhere, and their token services too
    if (route.kind === 'other' && !CHANGING.has(method) && !reading) return passToken(exchange);
    if (!reading) return push(exchange, route);
    const pushes = config.allowPush || config.allowPushWithOwnAuth;
    if (pushes && method === 'HEAD' && route.kind === 'blob')
      return checkExistence(exchange, () => read(exchange, route));
    return read(exchange, route);
  }

  function read(exchange: Exchange, route: Route): Promise<void> {
    const { request, outcome } = exchange;
    const target = request.url ?? '/';
    switch (route.kind) {
      case 'ping':
        return ping(exchange);
      case 'blob':
        return pullBlob(exchange, route.repository, route.digest);
      case 'manifest':
        if (route.reference.kind === 'tag') return pullTag(exchange, route.repository, route.reference.tag);
        outcome.cacheType = 'manifest-by-digest';
        return pullManifest(exchange, route.repository, route.reference.digest);
      case 'tags':
      case 'referrers':
        return pullListing(exchange);
      case 'other':
        // quay, pkg.dev and Forgejo have their token services below /v2/
        return target.startsWith('/v2/') && !isTokenRequest(request)
          ? passThrough(exchange)
          : passToken(exchange);
      default:
        return passThrough(exchange);
    }
  }

  const guarded =
    (answer: (exchange: Exchange) => Promise<void>) =>
    async (exchange: Exchange): Promise<void> => {
      try {
        await answer(exchange);
      } catch (thrown) {
        sendError(exchange, asBreakwaterError(thrown));
      }
      throwAwayUnread(exchange);
    };
  return {
    serve: guarded(async (exchange) => {
      const identity = issued.identityBehind(exchange.identity);
      return route(identity === exchange.identity ? exchange : { ...exchange, identity });
    }),
    forward: guarded((exchange) => passThrough({ ...exchange, identity: asSent(exchange.identity) })),
  };
}
