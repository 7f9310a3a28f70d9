import type { CacheStatus } from '../cache/status.ts';
import { LRUCache } from 'lru-cache';
import type { TagKey, TagRecord, TagTable } from '../store/index/tag-table.ts';
import { createFlights } from '../upstream/flights.ts';
import { identityKey } from '../upstream/identity.ts';
import type { RateLimits } from '../upstream/rate-limits.ts';
import { UpstreamRefusal } from '../upstream/refusal.ts';
import type { Access } from './access.ts';
import type { Exchange } from './exchange.ts';
import type { TagCheck, TagFetch, TagFinding } from './tag-check.ts';

/** What a tag means now, and how that came to be known. */
export interface Resolved {
  readonly record: TagRecord;
  readonly status: CacheStatus;
}

/**
 * Asks upstream what a tag means; concurrent questions in one name are one.
 * Undefined where upstream does not say in its headers what a HEAD asked for.
 * @param spare whether `known` can be served instead of spending the last of a pull limit.
 * @throws what upstream answered, or why it could not be asked.
 */
export interface ResolveTag {
  (
    exchange: Exchange,
    key: TagKey,
    known: TagRecord | undefined,
    spare?: boolean,
  ): Promise<Resolved | undefined>;
  /** Forgets that anything was not found: something was pushed. */
  forgetMissing(): void;
}

export interface ResolveTagParts {
  readonly tags: TagTable;
  readonly access: Access;
  readonly limits: RateLimits;
  readonly check: TagCheck;
  readonly fetch: TagFetch;
}

/** How long it is believed that a tag does not exist, in milliseconds: it may be pushed any moment. */
const NOT_FOUND_MS = 3_000;
const MAX_NOT_FOUND = 10_000;

export function createResolveTag({ tags, access, limits, check, fetch }: ResolveTagParts): ResolveTag {
  const flights = createFlights<Resolved | undefined>();
  const notFound = new LRUCache<string, UpstreamRefusal>({ max: MAX_NOT_FOUND, ttl: NOT_FOUND_MS });

  function remember(exchange: Exchange, key: TagKey, { record, visibility }: TagFinding): void {
    access.record(exchange, key.repository, record.digest, visibility);
    tags.put(key, record);
  }

  async function ask(
    exchange: Exchange,
    key: TagKey,
    known: TagRecord | undefined,
    spare: boolean,
  ): Promise<Resolved | undefined> {
    const head = exchange.request.method === 'HEAD';
    if (known !== undefined || head) {
      const found = await check(exchange, key);
      if (found !== undefined) {
        const { record } = found;
        const unchanged = known?.digest === record.digest && known.mediaType === record.mediaType;
        // HEAD is free; the GET that follows a change is what the limit counts
        if (known !== undefined && spare && !unchanged && limits.isLow(key.registry, exchange.identity)) {
          return { record: known, status: 'STALE' };
        }
        remember(exchange, key, found);
        return { record, status: unchanged ? 'REVALIDATED' : known === undefined ? 'MISS' : 'EXPIRED' };
      }
      if (head) return undefined;
    }
    const fetched = await fetch(exchange, key);
    remember(exchange, key, fetched);
    return { record: fetched.record, status: known === undefined ? 'MISS' : 'EXPIRED' };
  }

  async function resolve(
    exchange: Exchange,
    key: TagKey,
    known: TagRecord | undefined,
    spare = false,
  ): Promise<Resolved | undefined> {
    const { registry, repository, tag, variant } = key;
    const flight = [
      identityKey(exchange.identity),
      exchange.request.method,
      registry,
      repository,
      tag,
      variant,
    ].join(' ');
    const missing = notFound.get(flight);
    if (missing !== undefined) throw missing;
    try {
      return await flights.share(flight, () => ask(exchange, key, known, spare));
    } catch (thrown) {
      if (thrown instanceof UpstreamRefusal && thrown.status === 404) notFound.set(flight, thrown);
      throw thrown;
    }
  }

  return Object.assign(resolve, { forgetMissing: () => notFound.clear() });
}
