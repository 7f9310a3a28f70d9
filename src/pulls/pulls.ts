import type { Config } from '../config/config.ts';
import { createAcceptance } from '../cache/acceptance.ts';
import { createFreshness } from '../cache/freshness.ts';
import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import { parseRoute } from '../registry/route.ts';
import type { Fills } from '../store/fills.ts';
import type { LinkTable } from '../store/index/link-table.ts';
import type { TagTable } from '../store/index/tag-table.ts';
import type { Store } from '../store/store.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { PROXY_IDENTITY, type Identity } from '../upstream/identity.ts';
import type { IssuedTokens } from '../upstream/issued-tokens.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { createAccess } from './access.ts';
import { createPullBlob } from './blob.ts';
import { createBuffers } from './buffers.ts';
import type { Exchange } from './exchange.ts';
import { createPullManifest } from './manifest.ts';
import { createObjects } from './object.ts';
import { createPassThrough } from './pass-through.ts';
import { createPing } from './ping.ts';
import { sendError } from './send-error.ts';
import { createSendObject } from './send-object.ts';
import { createTagCheck, createTagFetch } from './tag-check.ts';
import { createPullTag } from './tag.ts';
import { createPassToken } from './token.ts';

/** Answers exchanges, whatever happens; neither rejects. */
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
  readonly upstream: Upstream;
  readonly credentials: Credentials;
  readonly issued: IssuedTokens;
  readonly intercepts: (host: string, port: number) => boolean;
  readonly now: () => number;
}

/** How long upstream's word on a client's own credentials counts before it is asked again, in milliseconds. */
const ACCEPTANCE_LEASH = 60_000;

/** The use cases, wired; the route of an exchange decides which one answers it. */
export function createPulls(parts: PullParts): Pulls {
  const { config, store, fills, links, tags, upstream, credentials, issued, now } = parts;
  const access = createAccess(links, createAcceptance(ACCEPTANCE_LEASH), upstream);
  const objects = createObjects({ store, fills, access, upstream, stallTimeout: config.proxyReadTimeout });
  const send = createSendObject(createBuffers(), config.sendTimeout);
  const passThrough = createPassThrough(upstream);
  const passToken = createPassToken(upstream, credentials, issued, passThrough);
  const ping = createPing(upstream, credentials, parts.intercepts, now);
  const pullBlob = createPullBlob(store, access, objects, send, passThrough);
  const pullManifest = createPullManifest(store, access, objects, send, passThrough);
  const tagParts = { store, fills, tags, access, upstream, now };
  const pullTag = createPullTag(
    tags,
    createFreshness(config),
    access,
    createTagCheck(tagParts),
    createTagFetch(tagParts),
    pullManifest,
    passThrough,
    now,
  );

  function route(exchange: Exchange): Promise<void> {
    const { request, outcome } = exchange;
    const method = request.method ?? 'GET';
    const target = request.url ?? '/';
    const route = parseRoute(target);
    if (route.kind === 'v1') {
      throw new BreakwaterError(
        'V1_UNSUPPORTED',
        'the v1 registry protocol is not supported; use a client that speaks v2',
      );
    }
    const reading = method === 'GET' || method === 'HEAD';
    if (!reading && target.startsWith('/v2/') && !config.allowPush) {
      throw new BreakwaterError('PUSH_DISABLED', 'pushing through the proxy is off', {
        headers: { Allow: 'GET, HEAD' },
        mend: 'Set ALLOW_PUSH=true on the proxy, or push without it.',
      });
    }
    if (!reading) return route.kind === 'other' ? passToken(exchange) : passThrough(exchange);
    switch (route.kind) {
      case 'ping':
        return ping(exchange);
      case 'blob':
        return pullBlob(exchange, route.repository, route.digest);
      case 'manifest':
        if (route.reference.kind === 'tag') return pullTag(exchange, route.repository, route.reference.tag);
        outcome.cacheType = 'manifest-by-digest';
        return pullManifest(exchange, route.repository, route.reference.digest);
      case 'other':
        return target.startsWith('/v2/') ? passThrough(exchange) : passToken(exchange);
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
    };
  return {
    serve: guarded(async (exchange) =>
      route({ ...exchange, identity: identityFor(exchange.identity, issued) }),
    ),
    forward: guarded((exchange) => passThrough({ ...exchange, identity: asSent(exchange) })),
  };
}

/**
 * A token that was issued without a client's own credentials opens nothing that the proxy cannot open itself;
 * asked in the proxy's name, the questions of many clients are one, and no token expires on the way.
 */
function identityFor(identity: Identity, issued: IssuedTokens): Identity {
  const borrowed = identity.kind === 'client' && issued.visibilityOf(identity.authorization) !== 'own';
  return borrowed ? PROXY_IDENTITY : identity;
}

/** To a host that is no registry a request goes as it came: no credential is added, no challenge answered. */
function asSent({ identity }: Exchange): Identity {
  return identity.kind === 'proxy' ? { kind: 'nobody' } : identity;
}
