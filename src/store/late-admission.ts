import { isDigest, type Digest } from '../registry/digest.ts';
import type { EvictionPolicy } from './eviction.ts';
import type { ObjectPosition, ObjectTable } from './index/object-table.ts';
import type { OnFault } from './index/writer.ts';

/** Objects that are admitted before other work gets its turn: a millisecond or two. */
const PAGE = 500;

/** An eviction policy that still learns of what was stored before the start. */
export interface LateAdmission extends EvictionPolicy {
  /** Settles when it knows of every object. */
  readonly complete: Promise<void>;
  /** Stops learning; before the index is closed. */
  stop(): void;
}

/**
 * Tells a policy of every object in the index, the longest unused first, beside the requests: a start with a million
 * objects answers at once. The totals are right from the beginning, and so is a victim: what is learnt first goes
 * first, and where that is not enough, more is learnt on the spot.
 */
export function createLateAdmission(
  policy: EvictionPolicy,
  objects: ObjectTable,
  onFault: OnFault,
): LateAdmission {
  /** What the policy was not told of yet. */
  let left = objects.totals();
  let position: ObjectPosition | undefined;
  let loading = true;
  /** Victims, whose rows are still to go. */
  const evicted = new Set<Digest>();
  let next: NodeJS.Immediate | undefined;
  const { promise: complete, resolve } = Promise.withResolvers<void>();

  function end(): void {
    loading = false;
    left = { objects: 0, bytes: 0 };
    evicted.clear();
    clearImmediate(next);
    resolve();
  }

  /** Admits the next objects; false where there are none. */
  function page(): boolean {
    if (!loading) return false;
    try {
      const rows = objects.after(position, PAGE);
      position = rows.at(-1);
      if (position === undefined) {
        end();
        return false;
      }
      for (const { digest, size } of rows) {
        if (isDigest(digest) && isUnknown(digest)) admit(digest, size);
      }
      return true;
    } catch (error) {
      onFault(error, 'reading which objects are stored');
      end();
      return false;
    }
  }

  function admit(digest: Digest, size: number): void {
    policy.admit(digest, size);
    settle(size);
  }

  function settle(size: number): void {
    left = { objects: left.objects - 1, bytes: left.bytes - size };
  }

  /** Bytes of an object that the index knows and the policy does not. */
  function unknownSize(digest: Digest): number | undefined {
    return loading && isUnknown(digest) ? objects.get(digest)?.size : undefined;
  }

  function isUnknown(digest: Digest): boolean {
    return !policy.has(digest) && !evicted.has(digest);
  }

  function load(): void {
    if (page()) next = setImmediate(load);
  }
  load();

  return {
    complete,
    stop: end,
    has: (digest) => policy.has(digest) || unknownSize(digest) !== undefined,
    admit(digest, size) {
      const before = unknownSize(digest);
      if (before !== undefined) settle(before);
      evicted.delete(digest);
      policy.admit(digest, size);
    },
    access(digest) {
      const size = unknownSize(digest);
      if (size !== undefined) admit(digest, size);
      policy.access(digest);
    },
    remove(digest) {
      const size = unknownSize(digest);
      if (size !== undefined) settle(size);
      policy.remove(digest);
    },
    victim(pinned) {
      for (;;) {
        const digest = policy.victim(pinned);
        if (digest === undefined && page()) continue;
        if (digest !== undefined && loading) evicted.add(digest);
        return digest;
      }
    },
    totals() {
      const known = policy.totals();
      return { objects: known.objects + left.objects, bytes: known.bytes + left.bytes };
    },
  };
}
