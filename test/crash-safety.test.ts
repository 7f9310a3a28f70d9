import { expect, test } from 'vitest';
import { crashRun } from './crash/crash-run.ts';

const KILLS = 25;

test(
  'killed at any moment under load, the proxy serves no wrong byte, loses nothing it had and leaves nothing behind',
  { timeout: 240_000 },
  async () => {
    const seed = Date.now();
    console.log(`crash safety: node test/crash/run.ts --kills ${KILLS} --seed ${seed}`);
    const report = await crashRun({ kills: KILLS, seed });
    for (const what of ['hits', 'misses', 'cut', 'resumed', 'published'] as const) {
      expect(report[what], `${what}: ${JSON.stringify(report)}`).toBeGreaterThan(0);
    }
  },
);
