import { statfs } from 'node:fs/promises';
import type { Digest } from '../../registry/digest.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { EvictionPolicy } from '../eviction.ts';
import { diskFault } from './fault.ts';

/** Bytes that a partial object holds on to until it is published or ends. */
interface Reservation {
  /** Grows it to `bytes` in all. @throws `STORE_UNAVAILABLE` where there is no room. */
  grow(bytes: number): Promise<void>;
  /** Says how much of it is on the disk by now. */
  wrote(bytes: number): void;
  release(): void;
}

/** Keeps the cache within its bounds: room is made before bytes are written, never after. */
export interface Room {
  reserve(): Reservation;
  /** Evicts what is too much; called when objects were added. */
  trim(): void;
}

export interface Bounds {
  /** Bytes that objects and reservations may take together (`CACHE_MAX_SIZE`). */
  readonly maxSize: number;
  /** Bytes that must stay free on the file system (`CACHE_MIN_FREE`; nginx `min_free`). */
  readonly minFree: number;
}

export interface RoomOptions {
  readonly root: string;
  readonly eviction: EvictionPolicy;
  readonly bounds: () => Bounds;
  readonly isPinned: (digest: Digest) => boolean;
  /** Ends what goes on in steps. */
  readonly signal: AbortSignal;
  /** Settles when the bytes are free; never rejects. */
  readonly evict: (digest: Digest) => Promise<void>;
  /** Partial objects that nobody fills; they go before any whole object does. */
  readonly kept: { readonly bytes: number; dropOldest(): boolean };
}

/** Objects that leave before others have their turn: a bound that was made lower may be far below what is there. */
const BATCH = 200;

export function createRoom(options: RoomOptions): Room {
  const { eviction, bounds, root, kept, signal } = options;
  const leaving = new Set<Promise<void>>();
  let reserved = 0;
  /** What of the reserved bytes is on the disk, and so no longer free. */
  let written = 0;

  function evictOne(): boolean {
    if (kept.dropOldest()) return true;
    const victim = eviction.victim(options.isPinned);
    if (victim === undefined) return false;
    const gone = options.evict(victim).finally(() => leaving.delete(gone));
    leaving.add(gone);
    return true;
  }

  function taken(): number {
    return eviction.totals().bytes + kept.bytes + written;
  }

  function isOver(): boolean {
    return taken() + reserved - written > bounds().maxSize;
  }

  /** Gives false where all that is left is being read. */
  async function trim(): Promise<boolean> {
    for (;;) {
      for (let left = BATCH; left > 0 && isOver(); left -= 1) if (!evictOne()) return false;
      if (!isOver()) return true;
      await Promise.all(leaving);
      if (signal.aborted) return false;
    }
  }

  /** The file system is asked each time: others write to it too. */
  async function freeEnough(): Promise<boolean> {
    // what leaves is free for all to see before it is asked for
    await Promise.all(leaving);
    const { bavail, bsize } = await statfs(root);
    let free = bavail * bsize - (reserved - written);
    while (free < bounds().minFree) {
      const before = taken();
      if (!evictOne()) return false;
      free += before - taken();
    }
    await Promise.all(leaving);
    return true;
  }

  return {
    trim: () => void trim(),
    reserve() {
      let held = 0;
      let used = 0;
      return {
        async grow(bytes) {
          if (bytes > bounds().maxSize)
            throw new BreakwaterError(
              'STORE_UNAVAILABLE',
              `${bytes} bytes are more than the whole cache holds`,
            );
          const more = Math.max(0, bytes - held);
          reserved += more;
          held += more;
          const fits =
            (await trim()) &&
            (await freeEnough().catch((cause: unknown) => {
              throw diskFault(cause, 'asking for free space');
            }));
          if (!fits)
            throw new BreakwaterError(
              'STORE_UNAVAILABLE',
              `no room for ${bytes} bytes: all else is being read`,
            );
        },
        wrote(bytes) {
          written += bytes - used;
          used = bytes;
        },
        release() {
          reserved -= held;
          written -= used;
          held = 0;
          used = 0;
        },
      };
    },
  };
}
