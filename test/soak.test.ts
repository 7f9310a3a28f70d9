import { expect, test } from 'vitest';
import { faultsOf, soak } from '../bench/soak/soak.ts';

const CLIENTS = 40;
const SECONDS = 75;

test(
  'under load with outages memory stays, and descriptors and sockets are given back',
  { timeout: 240_000 },
  async () => {
    const report = await soak({ clients: CLIENTS, seconds: SECONDS });
    expect(faultsOf(report, 48), JSON.stringify(report.samples)).toEqual([]);
    const { failed, ...done } = report.counts;
    expect(failed, JSON.stringify(report.counts)).toBe(0);
    for (const [what, count] of Object.entries(done)) expect(count, what).toBeGreaterThan(100);
  },
);
