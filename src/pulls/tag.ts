import type { CacheStatus } from '../cache/status.ts';
import type { TagPolicy, TagPolicyFor } from '../cache/tag-policy.ts';
import { variantOf } from '../cache/variant.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import type { RepositoryName, Tag } from '../registry/name.ts';
import type { TagKey, TagRecord, TagTable } from '../store/index/tag-table.ts';
import type { Store } from '../store/store.ts';
import { isOutage } from '../upstream/outage.ts';
import type { Access } from './access.ts';
import type { Exchange } from './exchange.ts';
import type { PullManifest } from './manifest.ts';
import type { PassThrough } from './pass-through.ts';
import { orGiveUp, withPatience } from './patience.ts';
import { sendObjectHead } from './send-object.ts';
import type { ResolveTag } from './tag-resolve.ts';

export type PullTag = (exchange: Exchange, repository: RepositoryName, tag: Tag) => Promise<void>;

export interface PullTagParts {
  readonly tags: TagTable;
  readonly store: Store;
  readonly access: Access;
  readonly policyFor: TagPolicyFor;
  readonly resolve: ResolveTag;
  readonly pullManifest: PullManifest;
  readonly passThrough: PassThrough;
  readonly now: () => number;
}

/** What is served, and in which of nginx's words. */
interface Answer {
  readonly record: TagRecord;
  readonly status: CacheStatus;
}

/** A tag in use is checked ahead when this share of its time has passed. */
export const REFRESH_AT = 0.8;

/** Serves a manifest by a tag: upstream says what it means as often as its policy wants, the cache has the bytes. */
export function createPullTag(parts: PullTagParts): PullTag {
  const { tags, store, access, policyFor, resolve, pullManifest, passThrough, now } = parts;

  /** Checks without anybody waiting; what goes wrong shows when somebody does. */
  function checkBehind(exchange: Exchange, key: TagKey, known: TagRecord, policy: TagPolicy): void {
    resolve(exchange, key, known, isUsable(exchange, key, known, policy)).catch(() => undefined);
  }

  /** What the cache can say without upstream; undefined where upstream has to be asked first. */
  function fromCache(
    exchange: Exchange,
    key: TagKey,
    known: TagRecord,
    policy: TagPolicy,
  ): Answer | undefined {
    const age = now() - known.checkedAt;
    if (age < policy.fresh) {
      if (policy.refresh && age > policy.fresh * REFRESH_AT) checkBehind(exchange, key, known, policy);
      return { record: known, status: 'HIT' };
    }
    if (age >= policy.fresh + policy.grace) return undefined;
    checkBehind(exchange, key, known, policy);
    return { record: known, status: 'UPDATING' };
  }

  /** Asks upstream, and falls back on what is known where it does not answer in time, or cannot. */
  async function current(
    exchange: Exchange,
    key: TagKey,
    known: TagRecord | undefined,
    policy: TagPolicy,
  ): Promise<Answer | undefined> {
    const usable = known !== undefined && isUsable(exchange, key, known, policy);
    const asked = resolve(exchange, key, known, usable);
    if (!usable) return orGiveUp(asked, exchange);
    const stale: Answer = { record: known, status: 'STALE' };
    try {
      return await withPatience<Answer | undefined>(asked, stale);
    } catch (thrown) {
      if (isOutage(asBreakwaterError(thrown))) return stale;
      throw thrown;
    }
  }

  function isUsable(
    exchange: Exchange,
    { repository }: TagKey,
    known: TagRecord,
    policy: TagPolicy,
  ): boolean {
    const inTime = now() - known.checkedAt < policy.fresh + policy.grace + policy.stale;
    const served = exchange.request.method === 'HEAD' || store.find(known.digest) !== undefined;
    return inTime && served && access.isKnownInOutage(exchange, repository, known.digest);
  }

  return async (exchange, repository, tag) => {
    const { request, registry, outcome } = exchange;
    const policy = policyFor(registry.name, repository, tag);
    outcome.cacheType = policy.type;
    const key: TagKey = {
      registry: registry.name,
      repository,
      tag,
      variant: variantOf(request.headers.accept),
    };
    const known = tags.find(key);
    const believed = known !== undefined && access.isKnown(exchange, repository, known.digest);
    let answer = believed ? fromCache(exchange, key, known, policy) : undefined;
    try {
      answer ??= await current(exchange, key, known, policy);
    } catch (thrown) {
      if (asBreakwaterError(thrown).code !== 'STORE_UNAVAILABLE') throw thrown;
    }
    // upstream does not say what its tag means, or the store could not keep it: its answer goes on as it is
    if (answer === undefined) return passThrough(exchange);
    outcome.cacheStatus = answer.status;
    outcome.digest = answer.record.digest;
    if (request.method === 'HEAD') return sendObjectHead(exchange, answer.record);
    await pullManifest(exchange, repository, answer.record.digest);
  };
}
