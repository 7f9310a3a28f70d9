import { parseArgs } from 'node:util';
import { fuzzRun } from './fuzz-run.ts';

/** `node test/fuzz/run.ts --inputs 100000`: the full run; a shorter one is part of the tests. */
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
const inputs = Number(values.inputs);
const seed = Number(values.seed);
process.stdout.write(`${inputs} inputs, seed ${seed}\n`);
const report = await fuzzRun({
  inputs,
  seed,
  onBatch: (done, memory, descriptors) =>
    void process.stdout.write(`${done} inputs, RSS ${memory.toFixed(0)} MiB, ${descriptors} descriptors\n`),
});
process.stdout.write(`nothing wrong was found: ${JSON.stringify(report)}\n`);
