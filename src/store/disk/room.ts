import { statfs } from 'node:fs/promises';
import type { Digest } from '../../registry/digest.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { EvictionPolicy } from '../eviction.ts';
import { diskFault } from './fault.ts';

/** Bytes that a partial object holds on to until it is published or ends. */
export interface Reservation {
  /** Grows it to `bytes` in all. @throws `STORE_UNAVAILABLE` where there is no room. */
  grow(bytes: number): Promise<void>;
  release(): void;
}

/** Keeps the cache within its bounds: room is made before bytes are written, never after. */
export interface Room {
  reserve(): Reservation;
  /** Evicts what is too much; called when objects were added. */
  trim(): void;
}

export interface RoomOptions {
  readonly root: string;
  readonly eviction: EvictionPolicy;
  /** Bytes that objects and reservations may take together (`CACHE_MAX_SIZE`). */
  readonly maxSize: number;
  /** Bytes that must stay free on the file system (`CACHE_MIN_FREE`; nginx `min_free`). */
  readonly minFree: number;
  readonly isPinned: (digest: Digest) => boolean;
  readonly evict: (digest: Digest) => void;
  /** Partial objects that nobody fills; they go before any whole object does. */
  readonly kept: { readonly bytes: number; dropOldest(): boolean };
}

export function createRoom(options: RoomOptions): Room {
  const { eviction, maxSize, minFree, root } = options;
  let reserved = 0;

  function evictOne(): boolean {
    if (options.kept.dropOldest()) return true;
    const victim = eviction.victim(options.isPinned);
    if (victim === undefined) return false;
    options.evict(victim);
    return true;
  }

  function trim(): boolean {
    while (eviction.totals().bytes + options.kept.bytes + reserved > maxSize) if (!evictOne()) return false;
    return true;
  }

  /** The file system is asked each time: others write to it too. */
  async function freeEnough(bytes: number): Promise<boolean> {
    const { bavail, bsize } = await statfs(root);
    let free = bavail * bsize - bytes;
    while (free < minFree) {
      const before = eviction.totals().bytes;
      if (!evictOne()) return false;
      free += before - eviction.totals().bytes;
    }
    return true;
  }

  return {
    trim: () => void trim(),
    reserve() {
      let held = 0;
      return {
        async grow(bytes) {
          if (bytes > maxSize)
            throw new BreakwaterError(
              'STORE_UNAVAILABLE',
              `${bytes} bytes are more than the whole cache holds`,
            );
          const more = Math.max(0, bytes - held);
          reserved += more;
          held += more;
          const fits =
            trim() &&
            (await freeEnough(more).catch((cause: unknown) => {
              throw diskFault(cause, 'asking for free space');
            }));
          if (!fits)
            throw new BreakwaterError(
              'STORE_UNAVAILABLE',
              `no room for ${bytes} bytes: all else is being read`,
            );
        },
        release() {
          reserved -= held;
          held = 0;
        },
      };
    },
  };
}
