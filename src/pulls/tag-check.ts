import { isDigest, type Digest } from '../registry/digest.ts';
import type { RepositoryName } from '../registry/name.ts';
import { formatRoute } from '../registry/route.ts';
import type { Visibility } from '../registry/visibility.ts';
import type { FillSource } from '../store/fill.ts';
import type { FillOrigin, Fills } from '../store/fills.ts';
import type { TagKey, TagRecord } from '../store/index/tag-table.ts';
import type { Store, StoredObject } from '../store/store.ts';
import { identityKey } from '../upstream/identity.ts';
import { toRefusal } from '../upstream/refusal.ts';
import { discard, type Upstream, type UpstreamAnswer } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { contentLength, createObjectSource, mediaTypeOf, toBody } from './object-source.ts';
import { upstreamHeaders } from './upstream-headers.ts';

/**
 * Asks upstream by HEAD what a tag means, which no registry counts as a pull; undefined where it does not say
 * so in its headers.
 * @throws what upstream answered where it refuses.
 */
export type TagCheck = (exchange: Exchange, key: TagKey) => Promise<TagFinding | undefined>;

/** Fetches a tag's manifest into the store. */
export interface TagFetch {
  /** @param found what a check said the tag means: it is then asked for by its digest, unless it is there. */
  (exchange: Exchange, key: TagKey, found?: TagFinding): Promise<TagFinding>;
  /** True where fetching it would ask upstream nothing. */
  isStored(digest: Digest): boolean;
}

/** What upstream said of a tag, and who may know. */
export interface TagFinding {
  readonly record: TagRecord;
  readonly visibility: Visibility;
}

interface TagParts {
  readonly store: Store;
  readonly fills: Fills;
  readonly upstream: Upstream;
  readonly now: () => number;
}

export function createTagCheck({ upstream, now }: TagParts): TagCheck {
  return async (exchange, key) => {
    const answer = await askTag(upstream, exchange, key, 'HEAD');
    const digest = announcedDigest(answer);
    const mediaType = mediaTypeOf(answer);
    const size = contentLength(answer);
    if (answer.status === 405 || (answer.status === 404 && exchange.request.method === 'GET')) {
      await discard(answer); // a cache in between may know only GET
      return undefined;
    }
    if (answer.status !== 200) throw await toRefusal(answer);
    await discard(answer);
    if (digest === undefined || mediaType === undefined || size === undefined) return undefined;
    return { record: { digest, mediaType, size, checkedAt: now() }, visibility: answer.visibility };
  };
}

export function createTagFetch({ store, fills, upstream, now }: TagParts): TagFetch {
  /** The bytes of the answer that is there; were they to break, the rest comes by the digest. */
  async function fill(exchange: Exchange, key: TagKey, answer: UpstreamAnswer): Promise<StoredObject> {
    const { repository } = key;
    const digest = announcedDigest(answer);
    if (digest === undefined)
      return fills.startUnnamed(() => Promise.resolve(toBody(answer, 0, 'manifest'))).done;
    const from = fromDigest(upstream, exchange, repository, digest);
    const stored = store.find(digest) ?? (await fills.find(digest)?.fill.done);
    if (stored?.mediaType !== undefined) {
      answer.body.destroy();
      return stored;
    }
    let first = true;
    const running = fills.start(digest, originOf(exchange, repository), (offset) => {
      const begun = first;
      first = false;
      return begun ? Promise.resolve(toBody(answer, 0, 'manifest')) : from(offset);
    });
    return running.fill.done;
  }

  /** The bytes of what a check found, so that the tag can be served whatever becomes of upstream. */
  async function fillFound(exchange: Exchange, { repository }: TagKey, digest: Digest): Promise<void> {
    if (store.find(digest) !== undefined) return;
    // a fill that another client began may fail with what only that client is refused
    const joined = await fills.find(digest)?.fill.done.catch(() => undefined);
    if (joined !== undefined) return;
    const from = fromDigest(upstream, exchange, repository, digest);
    await fills.start(digest, originOf(exchange, repository), from).fill.done;
  }

  async function fetch(exchange: Exchange, key: TagKey, found?: TagFinding): Promise<TagFinding> {
    if (found !== undefined) {
      await fillFound(exchange, key, found.record.digest);
      return found;
    }
    const answer = await askTag(upstream, exchange, key, 'GET');
    if (answer.status !== 200) throw await toRefusal(answer);
    const { digest, size, mediaType } = await fill(exchange, key, answer);
    const record: TagRecord = { digest, size, mediaType: mediaType ?? 'application/json', checkedAt: now() };
    return { record, visibility: answer.visibility };
  }

  return Object.assign(fetch, { isStored: (digest: Digest) => store.find(digest) !== undefined });
}

function fromDigest(
  upstream: Upstream,
  { registry, identity, request }: Exchange,
  repository: RepositoryName,
  digest: Digest,
): FillSource {
  const path = formatRoute({ kind: 'manifest', repository, reference: { kind: 'digest', digest } });
  return createObjectSource(
    upstream,
    { registry, repository, kind: 'manifest', path, headers: upstreamHeaders(request), identity },
    () => undefined,
  ).from;
}

function originOf({ registry, identity }: Exchange, repository: RepositoryName): FillOrigin {
  return { registry: registry.name, repository, identityKey: identityKey(identity) };
}

async function askTag(
  upstream: Upstream,
  exchange: Exchange,
  key: TagKey,
  method: 'GET' | 'HEAD',
): Promise<UpstreamAnswer> {
  const { registry, identity, request, response, outcome } = exchange;
  const asked = performance.now();
  const { repository, tag } = key;
  const path = formatRoute({ kind: 'manifest', repository, reference: { kind: 'tag', tag } });
  const headers = upstreamHeaders(request);
  const answer = await upstream.ask({
    registry,
    repository,
    method,
    path,
    headers,
    identity,
    follow: true,
  });
  outcome.upstream = answer.host;
  outcome.upstreamTime = (outcome.upstreamTime ?? 0) + performance.now() - asked;
  const { warning } = answer.headers;
  // what the registry has to say to people (distribution-spec, "Warnings"); in the background nobody listens
  if (warning !== undefined && !response.headersSent) response.setHeader('Warning', warning);
  return answer;
}

/** The digest that upstream's headers announce, if it is one. */
function announcedDigest({ headers }: UpstreamAnswer): Digest | undefined {
  const text = headers['docker-content-digest'];
  return typeof text === 'string' && isDigest(text) ? text : undefined;
}
