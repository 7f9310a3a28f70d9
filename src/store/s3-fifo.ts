import type { Digest } from '../registry/digest.ts';
import type { EvictionPolicy } from './eviction.ts';

/** Share of the bytes that new objects have to prove themselves in. */
const SMALL_SHARE = 0.1;
/** Accesses that are counted; more say nothing new. */
const MAX_FREQUENCY = 3;
/** Accesses in the small queue by which an object has proved itself. */
const PROMOTED_AT = 1;

interface Entry {
  readonly size: number;
  frequency: number;
}

interface Queue {
  readonly entries: Map<Digest, Entry>;
  bytes: number;
}

/**
 * S3-FIFO by bytes: a small queue that most objects leave unused, a main queue that gives each access a further
 * round, and the ghosts of what left the small one, which enter the main one if they come again.
 * Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
 */
export function createS3Fifo(): EvictionPolicy {
  const small: Queue = { entries: new Map(), bytes: 0 };
  const main: Queue = { entries: new Map(), bytes: 0 };
  const ghosts = new Map<Digest, number>();
  let ghostBytes = 0;

  function push(queue: Queue, digest: Digest, entry: Entry): void {
    queue.entries.set(digest, entry);
    queue.bytes += entry.size;
  }

  function take(queue: Queue, digest: Digest): Entry | undefined {
    const entry = queue.entries.get(digest);
    if (entry === undefined) return undefined;
    queue.entries.delete(digest);
    queue.bytes -= entry.size;
    return entry;
  }

  function forgetGhost(digest: Digest): boolean {
    ghostBytes -= ghosts.get(digest) ?? 0;
    return ghosts.delete(digest);
  }

  /** Ghosts are kept for as many bytes as the main queue has. */
  function addGhost(digest: Digest, size: number): void {
    ghosts.set(digest, size);
    ghostBytes += size;
    for (const [oldest] of ghosts) {
      if (ghostBytes <= main.bytes || ghosts.size === 1) break;
      forgetGhost(oldest);
    }
  }

  /** One step: the object at the head leaves, or gets another round. */
  function step(queue: Queue, pinned: (digest: Digest) => boolean): Digest | undefined {
    const [head] = queue.entries;
    if (head === undefined) return undefined;
    const [digest, entry] = head;
    take(queue, digest);
    if (pinned(digest)) {
      push(queue, digest, entry);
      return undefined;
    }
    if (queue === small && entry.frequency >= PROMOTED_AT) {
      entry.frequency = 0;
      push(main, digest, entry);
      return undefined;
    }
    if (queue === main && entry.frequency > 0) {
      entry.frequency -= 1;
      push(main, digest, entry);
      return undefined;
    }
    if (queue === small) addGhost(digest, entry.size);
    return digest;
  }

  return {
    admit(digest, size) {
      const frequency = (take(small, digest) ?? take(main, digest))?.frequency ?? 0;
      push(forgetGhost(digest) ? main : small, digest, { size, frequency });
    },
    access(digest) {
      const entry = small.entries.get(digest) ?? main.entries.get(digest);
      if (entry !== undefined && entry.frequency < MAX_FREQUENCY) entry.frequency += 1;
    },
    remove(digest) {
      if (take(small, digest) === undefined) take(main, digest);
    },
    victim(pinned) {
      // every object may need its rounds, and be passed over once for being read
      const steps = (small.entries.size + main.entries.size) * (MAX_FREQUENCY + 2);
      for (let left = steps; left > 0; left -= 1) {
        const fromSmall = small.bytes > (small.bytes + main.bytes) * SMALL_SHARE || main.entries.size === 0;
        const victim = step(fromSmall ? small : main, pinned);
        if (victim !== undefined) return victim;
      }
      return undefined;
    },
    totals: () => ({ objects: small.entries.size + main.entries.size, bytes: small.bytes + main.bytes }),
  };
}
