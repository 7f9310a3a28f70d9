import { expect, test } from 'vitest';
import { fuzzRun } from './fuzz/fuzz-run.ts';

const INPUTS = 5_000;

test(
  'whatever bytes come, in clear, behind a CONNECT or in TLS, the proxy lives, answers and keeps nothing',
  { timeout: 180_000 },
  async () => {
    const seed = Date.now() % 2 ** 31;
    console.log(`fuzz: node test/fuzz/run.ts --inputs ${INPUTS} --seed ${seed}`);
    const { answers, memory } = await fuzzRun({ inputs: INPUTS, seed });
    for (const digit of ['2', '4', '5', 'none'])
      expect(answers[digit], JSON.stringify(answers)).toBeGreaterThan(0);
    expect(memory.late - memory.early).toBeLessThan(120);
  },
);
