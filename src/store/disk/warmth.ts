import { LRUCache } from 'lru-cache';
import type { Digest } from '../../registry/digest.ts';

const MAX_OBJECTS = 20_000;

/**
 * Knows which objects the page cache holds, by what went through it: a synchronous read is three times cheaper
 * than one on the thread pool, but from a cold disk it would stop every other request.
 */
export interface Warmth {
  /** True where the bytes up to `end` went through the page cache not long ago. */
  isWarm(digest: Digest, end: number): boolean;
  /** Records that the bytes from `start` to `end` were read from the disk, or written to it. */
  moved(digest: Digest, start: number, end: number): void;
  /** Takes back what was thought of an object: a read of it was slow. */
  cooled(digest: Digest): void;
}

interface Heat {
  end: number;
  /** What had gone through the page cache when the object's first byte did. */
  since: number;
}

/** @param memory bytes that may go through the page cache before what went first counts as cold. */
export function createWarmth(memory: number): Warmth {
  const heats = new LRUCache<Digest, Heat>({ max: MAX_OBJECTS });
  let traffic = 0;
  return {
    isWarm(digest, end) {
      const heat = heats.get(digest);
      return heat !== undefined && end <= heat.end && traffic - heat.since < memory;
    },
    moved(digest, start, end) {
      traffic += end - start;
      const heat = heats.get(digest);
      if (start === 0 || heat === undefined) {
        if (start === 0) heats.set(digest, { end: Math.max(end, heat?.end ?? 0), since: traffic });
      } else if (start <= heat.end && end > heat.end) {
        heat.end = end;
      }
    },
    cooled: (digest) => void heats.delete(digest),
  };
}
