import type { Digest } from '../registry/digest.ts';

/** Decides what leaves the cache; it knows digests and sizes and touches no disk. */
export interface EvictionPolicy {
  /** True for what was admitted and neither removed nor evicted since. */
  has(digest: Digest): boolean;
  /** An object was stored, for the first time or anew. */
  admit(digest: Digest, size: number): void;
  /** An object was asked for; called on every hit, so it must cost next to nothing. */
  access(digest: Digest): void;
  /** An object is gone; nothing happens where it was not known, or is a victim. */
  remove(digest: Digest): void;
  /**
   * Takes out the object to evict next, passing over those that `pinned` names; undefined where all are pinned.
   * `pinned` is asked only for objects that would go.
   */
  victim(pinned: (digest: Digest) => boolean): Digest | undefined;
  totals(): { readonly objects: number; readonly bytes: number };
}
