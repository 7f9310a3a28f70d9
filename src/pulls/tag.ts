import type { Freshness } from '../cache/freshness.ts';
import type { CacheStatus } from '../cache/status.ts';
import { variantOf } from '../cache/variant.ts';
import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import type { RepositoryName, Tag } from '../registry/name.ts';
import type { TagKey, TagRecord, TagTable } from '../store/index/tag-table.ts';
import { createFlights } from '../upstream/flights.ts';
import { identityKey } from '../upstream/identity.ts';
import type { Access } from './access.ts';
import type { Exchange } from './exchange.ts';
import type { PullManifest } from './manifest.ts';
import type { PassThrough } from './pass-through.ts';
import { sendObjectHead } from './send-object.ts';
import type { TagCheck, TagFetch } from './tag-check.ts';

export type PullTag = (exchange: Exchange, repository: RepositoryName, tag: Tag) => Promise<void>;

/** What a tag means now, and how that came to be known. */
interface Resolved {
  readonly record: TagRecord;
  readonly status: CacheStatus;
}

/** Statuses by which upstream says that it cannot answer, not that it has an answer. */
const OUTAGE = new Set([429, 500, 502, 503, 504]);

/** Serves a manifest by a tag: upstream says what the tag means as often as its tier wants, the cache has the bytes. */
export function createPullTag(
  tags: TagTable,
  freshness: (tag: Tag) => Freshness,
  access: Access,
  check: TagCheck,
  fetch: TagFetch,
  pullManifest: PullManifest,
  passThrough: PassThrough,
  now: () => number,
): PullTag {
  const flights = createFlights<Resolved>();

  async function resolve(exchange: Exchange, key: TagKey, known: TagRecord | undefined): Promise<Resolved> {
    const head = exchange.request.method === 'HEAD';
    if (known !== undefined || head) {
      const checked = await check(exchange, key);
      if (checked !== undefined) {
        const unchanged = known?.digest === checked.digest && known.mediaType === checked.mediaType;
        return {
          record: checked,
          status: unchanged ? 'REVALIDATED' : known === undefined ? 'MISS' : 'EXPIRED',
        };
      }
      if (head)
        throw new BreakwaterError('UPSTREAM_PROTOCOL', `${key.registry} answered HEAD without a digest`);
    }
    return { record: await fetch(exchange, key), status: known === undefined ? 'MISS' : 'EXPIRED' };
  }

  return async (exchange, repository, tag) => {
    const { request, registry, outcome } = exchange;
    const { type, lifetime } = freshness(tag);
    outcome.cacheType = type;
    const key: TagKey = {
      registry: registry.name,
      repository,
      tag,
      variant: variantOf(request.headers.accept),
    };
    const known = tags.find(key);
    const mayHave = known !== undefined && access.isKnown(exchange, repository, known.digest);
    let resolved: Resolved;
    if (known !== undefined && mayHave && now() - known.checkedAt < lifetime) {
      resolved = { record: known, status: 'HIT' };
    } else {
      const flight = `${identityKey(exchange.identity)} ${request.method ?? ''} ${registry.name} ${repository} ${tag} ${key.variant}`;
      try {
        resolved = await flights.share(flight, () => resolve(exchange, key, known));
      } catch (thrown) {
        const error = asBreakwaterError(thrown);
        if (error.code === 'STORE_UNAVAILABLE') return passThrough(exchange);
        if (known === undefined || !mayHave || !isOutage(error)) throw thrown;
        resolved = { record: known, status: 'STALE' };
      }
    }
    outcome.cacheStatus = resolved.status;
    outcome.digest = resolved.record.digest;
    if (request.method === 'HEAD') return sendObjectHead(exchange, resolved.record);
    await pullManifest(exchange, repository, resolved.record.digest);
  };
}

function isOutage(error: BreakwaterError): boolean {
  return error.source === 'upstream' && (error.retryable || OUTAGE.has(error.status)) && error.status !== 404;
}
