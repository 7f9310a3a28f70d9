import type { Digest } from '../registry/digest.ts';

/** Decides what leaves the cache; it knows digests and sizes and touches no disk. */
export interface EvictionPolicy {
  /** A new object was stored. */
  admit(digest: Digest, size: number): void;
  /** An object was asked for; called on every hit, so it must cost next to nothing. */
  access(digest: Digest): void;
  /** An object is gone. */
  remove(digest: Digest): void;
  /** The object to evict next, passing over those that `pinned` names; undefined where none can go. */
  victim(pinned: (digest: Digest) => boolean): Digest | undefined;
  totals(): { readonly objects: number; readonly bytes: number };
}
