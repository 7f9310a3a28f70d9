import { createHash } from 'node:crypto';
import { parseDigest, type Digest } from '../../src/registry/digest.ts';
import type { EvictionPolicy } from '../../src/store/eviction.ts';
import type { Trace } from './workload.ts';

/** Shares of what was asked for after the warm-up that the cache had, in per cent. */
export interface HitRatios {
  readonly bytes: number;
  readonly requests: number;
}

/** Days at the beginning of a trace that fill the cache and are not counted. */
export const WARM_UP_DAYS = 2;

/** A digest for each object of a trace, by its number. */
export function digestsOf(trace: Trace): readonly Digest[] {
  return Array.from(trace.sizes, (_, object) =>
    parseDigest(`sha256:${createHash('sha256').update(String(object)).digest('hex')}`),
  );
}

/** Sends the requests through a cache of that size, one after the other. */
export function simulate(
  trace: Trace,
  digests: readonly Digest[],
  capacity: number,
  policy: EvictionPolicy,
): HitRatios {
  const { requests, times, sizes } = trace;
  const stored = new Uint8Array(sizes.length);
  const numbers = new Map(digests.map((digest, object) => [digest, object]));
  const count = createCounter();
  for (const [at, object] of requests.entries()) {
    const digest = digests[object];
    const size = sizes[object] ?? 0;
    if (digest === undefined) continue;
    const hit = stored[object] === 1;
    if ((times[at] ?? 0) >= WARM_UP_DAYS) count.add(size, hit ? size : 0);
    if (hit) {
      policy.access(digest);
    } else if (size <= capacity) {
      policy.admit(digest, size);
      stored[object] = 1;
    }
    while (policy.totals().bytes > capacity) {
      const victim = policy.victim(() => false);
      if (victim === undefined) throw new Error('nothing can be evicted, though nothing is pinned');
      stored[numbers.get(victim) ?? 0] = 0;
    }
  }
  return count.ratios();
}

interface Counter {
  /** An object was asked for, of which the cache had so many bytes. */
  add(size: number, had: number): void;
  ratios(): HitRatios;
}

export function createCounter(): Counter {
  const [asked, had] = [
    { bytes: 0, requests: 0 },
    { bytes: 0, requests: 0 },
  ];
  return {
    add(size, bytes) {
      asked.bytes += size;
      asked.requests += 1;
      had.bytes += bytes;
      if (bytes === size) had.requests += 1;
    },
    ratios: () => ({
      bytes: (100 * had.bytes) / asked.bytes,
      requests: (100 * had.requests) / asked.requests,
    }),
  };
}
