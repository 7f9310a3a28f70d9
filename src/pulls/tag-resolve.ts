import { LRUCache } from 'lru-cache';
import type { CacheStatus } from '../cache/status.ts';
import type { TagKey, TagRecord, TagTable } from '../store/index/tag-table.ts';
import { createFlights } from '../upstream/flights.ts';
import { identityKey } from '../upstream/identity.ts';
import type { RateLimits } from '../upstream/rate-limits.ts';
import { UpstreamRefusal } from '../upstream/refusal.ts';
import type { Access } from './access.ts';
import type { Exchange } from './exchange.ts';
import type { TagCheck, TagFetch, TagFinding } from './tag-check.ts';

/** What a tag means now, and how that came to be known. */
interface Resolved {
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
  /** Forgets what was not found, and what is being asked at the moment: something was pushed. */
  forget(): void;
}

/** Pushes that were seen: what was asked before one is not to be remembered after it. */
export interface PushCount {
  count: number;
}

export interface ResolveTagParts {
  readonly pushes: PushCount;
  readonly tags: TagTable;
  readonly access: Access;
  readonly limits: RateLimits;
  readonly check: TagCheck;
  readonly fetch: TagFetch;
}

/** How long it is believed that a tag does not exist, in milliseconds: it may be pushed any moment. */
export const NOT_FOUND_MS = 3_000;
const MAX_NOT_FOUND = 10_000;

export function createResolveTag({
  pushes,
  tags,
  access,
  limits,
  check,
  fetch,
}: ResolveTagParts): ResolveTag {
  const flights = createFlights<Resolved | undefined>();
  const notFound = new LRUCache<string, UpstreamRefusal>({ max: MAX_NOT_FOUND, ttl: NOT_FOUND_MS });

  /** True where a counted request is better not made, or would not be answered. */
  function isSpent({ registry, identity }: Exchange): boolean {
    return limits.isLow(registry.name, identity) || limits.holdOff(registry.name, identity, 'pull') > 0;
  }

  async function ask(
    exchange: Exchange,
    key: TagKey,
    known: TagRecord | undefined,
    spare: boolean,
  ): Promise<Resolved | undefined> {
    const begun = pushes.count;
    const head = exchange.request.method === 'HEAD';
    const remember = ({ record, visibility }: TagFinding, status: CacheStatus): Resolved => {
      access.record(exchange, key.repository, record.digest, visibility);
      if (pushes.count === begun) tags.put(key, record);
      return { record, status };
    };
    const changed: CacheStatus = known === undefined ? 'MISS' : 'EXPIRED';
    if (known === undefined && !head) return remember(await fetch(exchange, key), changed);
    const found = await check(exchange, key).catch((thrown: unknown) => {
      if (head || spare || !(thrown instanceof UpstreamRefusal)) throw thrown;
      return undefined; // that it was asked by HEAD would tell that it is cached
    });
    const digest = found?.record.digest;
    if (found !== undefined && known?.digest === digest && known?.mediaType === found.record.mediaType) {
      return remember(found, 'REVALIDATED');
    }
    // HEAD is free; the GET that follows a change is what the limit counts
    const costs = digest === undefined || !fetch.isStored(digest);
    if (known !== undefined && spare && costs && isSpent(exchange)) return { record: known, status: 'STALE' };
    if (found === undefined) return head ? undefined : remember(await fetch(exchange, key), changed);
    // a tag means something new when that is there: until then, what it meant before can be served
    return remember(head ? found : await fetch(exchange, key, found), changed);
  }

  async function resolve(
    exchange: Exchange,
    key: TagKey,
    known: TagRecord | undefined,
    spare = false,
  ): Promise<Resolved | undefined> {
    const { registry, repository, tag, variant } = key;
    const flight = [
      pushes.count,
      spare,
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

  function forget(): void {
    pushes.count += 1;
    notFound.clear();
  }

  return Object.assign(resolve, { forget });
}
