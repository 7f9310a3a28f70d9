import { tmpdir } from 'node:os';
import { setImmediate as nextRound } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { digestOf, type Digest } from '../../registry/digest.ts';
import { createS3Fifo } from '../s3-fifo.ts';
import { createRoom } from './room.ts';

test('a bound far below what is there is come down to in steps, which stop nobody', async () => {
  const eviction = createS3Fifo();
  for (let name = 0; name < 5_000; name += 1) eviction.admit(digestOf(Buffer.from(String(name))), 1_000);
  const evicted: Digest[] = [];
  const room = createRoom({
    root: tmpdir(),
    eviction,
    bounds: () => ({ maxSize: 1_000_000, minFree: 0 }),
    isPinned: () => false,
    signal: new AbortController().signal,
    async evict(digest) {
      await nextRound();
      evicted.push(digest);
    },
    kept: { bytes: 0, dropOldest: () => false },
  });
  room.trim();
  const steps: number[] = [5_000 - eviction.totals().objects];
  while (evicted.length < 4_000) {
    await nextRound();
    steps.push(5_000 - eviction.totals().objects);
  }
  expect(eviction.totals()).toEqual({ objects: 1_000, bytes: 1_000_000 });
  expect(Math.max(...steps.map((gone, at) => gone - (steps[at - 1] ?? 0)))).toBeLessThanOrEqual(200);
});
