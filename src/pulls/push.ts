import type { IncomingMessage } from 'node:http';
import { isDigest, type Digest } from '../registry/digest.ts';
import { parseMediaType } from '../registry/media-type.ts';
import { isRepositoryName, type RepositoryName } from '../registry/name.ts';
import type { Route } from '../registry/route.ts';
import { repositoryScope } from '../registry/scope.ts';
import type { LinkTable } from '../store/index/link-table.ts';
import type { ReplyTable } from '../store/index/reply-table.ts';
import type { TagTable } from '../store/index/tag-table.ts';
import type { Upstream, UpstreamAnswer } from '../upstream/upstream.ts';
import { hasBody, whenGone } from './client-body.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs, relay } from './pass-through.ts';
import { receivePush, type PushBody, type PushBodyOptions } from './push-body.ts';
import type { PermitPush } from './push-permission.ts';
import type { ResolveTag } from './tag-resolve.ts';
import { uploadKey, uploadLocation } from './upload-location.ts';
import type { Uploads } from './uploads.ts';

/** Sends a push or a deletion on; what it changes is asked of upstream again. */
export type Push = (exchange: Exchange, route: Route) => Promise<void>;

export interface PushParts {
  readonly links: LinkTable;
  readonly tags: TagTable;
  readonly replies: ReplyTable;
  readonly resolve: ResolveTag;
  readonly upstream: Upstream;
  readonly permit: PermitPush;
  readonly uploads: Uploads;
  readonly body: PushBodyOptions;
  /** Whether the proxy's credentials may mount for a client what they can pull and the client perhaps cannot. */
  readonly mounts: boolean;
  /** Whether what upstream accepted is kept. */
  readonly kept: boolean;
}

export function createPush(parts: PushParts): Push {
  const { links, tags, replies, resolve, upstream, permit, uploads, mounts, kept } = parts;

  /** Forgets what a change of upstream's makes untrue, for everybody and at once. */
  function forget({ registry, request }: Exchange, route: Route): void {
    const isGone = request.method === 'DELETE';
    if (isGone && route.kind === 'blob') links.delete(registry.name, route.repository, route.digest);
    if (route.kind !== 'manifest') return;
    const { repository, reference } = route;
    if (reference.kind === 'tag') tags.delete({ registry: registry.name, repository, tag: reference.tag });
    if (isGone && reference.kind === 'digest') {
      tags.deleteTo(registry.name, repository, reference.digest);
      links.delete(registry.name, repository, reference.digest);
    }
    replies.deleteBelow(registry.name, `/v2/${repository}/`);
    resolve.forget();
  }

  async function ask(exchange: Exchange, route: Route, body: PushBody | undefined): Promise<UpstreamAnswer> {
    const repository = 'repository' in route ? route.repository : uploads.repositoryOf(keyOf(exchange));
    const { request, identity } = exchange;
    const mayMount = mounts || identity.kind === 'client' || request.method !== 'POST';
    const path = mayMount ? (request.url ?? '/') : withoutMount(request.url);
    let isRefused = false;
    try {
      const answer = await askAsIs(upstream, exchange, {
        path,
        signal: whenGone(exchange),
        ...(repository === undefined ? {} : { repository, scope: scopeOf(request, path, repository) }),
        ...(body === undefined ? {} : { body }),
        ...(body?.length === undefined ? {} : { headers: { 'content-length': String(body.length) } }),
      });
      isRefused = answer.status >= 300 && answer.status < 500;
      return answer;
    } finally {
      // an answer that was lost, or says that upstream failed, does not say that nothing was changed
      if (!isRefused) forget(exchange, route);
    }
  }

  /** What of an accepted manifest can be kept. */
  function manifest({ request }: Exchange, body: PushBody | undefined): Kept | undefined {
    const mediaType = parseMediaType(request.headers['content-type']);
    const bytes = kept && mediaType !== undefined ? body?.take() : undefined;
    return bytes && [bytes, bytes.verify(), mediaType];
  }

  /** Notes how an upload goes on; gives what of it can be kept, once it is over. */
  function upload(
    exchange: Exchange,
    repository: RepositoryName,
    body: PushBody | undefined,
    { status, headers }: UpstreamAnswer,
  ): Kept | undefined {
    const { registry, request } = exchange;
    const current = keyOf(exchange);
    if (request.method === 'DELETE') {
      uploads.dropped(current);
      return undefined;
    }
    const digest = digestIn(exchange);
    if (digest !== undefined && status === 201) {
      const bytes = uploads.finished(current) ?? (kept ? body?.take() : undefined);
      return bytes && [bytes, digest];
    }
    if (request.method === 'POST' && status === 201) return undefined; // mounted: nothing is to follow
    const next = uploadKey(registry, request.url ?? '/', locationOf(headers));
    if (next === undefined) return undefined;
    if (request.method === 'PATCH') uploads.grown(current, next, kept ? body?.take() : undefined);
    uploads.begun(next, repository);
    return undefined;
  }

  function accepted(
    exchange: Exchange,
    route: Route,
    body: PushBody | undefined,
    answer: UpstreamAnswer,
  ): Kept | undefined {
    if (route.kind === 'manifest')
      return exchange.request.method === 'PUT' ? manifest(exchange, body) : undefined;
    if (route.kind !== 'upload' && route.kind !== 'other') return undefined;
    const repository = route.kind === 'upload' ? route.repository : uploads.repositoryOf(keyOf(exchange));
    return repository && upload(exchange, repository, body, answer);
  }

  return async (exchange, route) => {
    exchange.outcome.cacheStatus = 'BYPASS';
    await permit(exchange);
    const body = hasBody(exchange.request) ? await receivePush(exchange, parts.body) : undefined;
    let keeping: Kept | undefined;
    try {
      const answer = await ask(exchange, route, body);
      if (answer.status < 300) keeping = accepted(exchange, route, body, answer);
      const location = locationOf(answer.headers);
      await relay(
        exchange,
        answer,
        location === undefined ? {} : { location: uploadLocation(exchange, location) },
      );
    } finally {
      await body?.close();
      if (keeping !== undefined) await uploads.keep(...keeping);
    }
  };
}

type Kept = Parameters<Uploads['keep']>;

function locationOf({ location }: UpstreamAnswer['headers']): string | undefined {
  return typeof location === 'string' ? location : undefined;
}

function keyOf({ registry, request }: Exchange): string {
  return uploadKey(registry, request.url ?? '/') ?? '';
}

/** What the method needs, and for a mount to pull from where the blob is. */
function scopeOf({ method }: IncomingMessage, path: string, repository: RepositoryName): string {
  const scope = repositoryScope(repository, method ?? '');
  const from = queryOf(path).get('from');
  return from !== null && isRepositoryName(from) ? `${scope} ${repositoryScope(from, 'GET')}` : scope;
}

/**
 * The target without its wish for a mount: a plain upload begins, as where a registry declines to mount
 * (distribution-spec, "Mounting a blob from another repository").
 */
function withoutMount(target = '/'): string {
  const query = queryOf(target);
  if (!query.has('mount') && !query.has('from')) return target;
  query.delete('mount');
  query.delete('from');
  const [path = '/'] = target.split('?');
  return query.size === 0 ? path : `${path}?${query.toString()}`;
}

/** The digest that a request gives to what it uploads, or completes. */
function digestIn({ request }: Exchange): Digest | undefined {
  const digest = queryOf(request.url).get('digest');
  return digest !== null && isDigest(digest) ? digest : undefined;
}

function queryOf(target = ''): URLSearchParams {
  const question = target.indexOf('?');
  return new URLSearchParams(question === -1 ? '' : target.slice(question + 1));
}
