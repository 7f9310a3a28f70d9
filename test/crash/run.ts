import { parseArgs } from 'node:util';
import { crashRun } from './crash-run.ts';

/** `node test/crash/run.ts --kills 200`: the full run; a run of fewer kills is part of the tests. */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now()) },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed);
process.stdout.write(`${kills} kills, seed ${seed}\n`);
const report = await crashRun({
  kills,
  seed,
  onKill: (kill) => void (kill % 20 === 0 && process.stdout.write(`${kill} kills\n`)),
});
process.stdout.write(`nothing wrong was found: ${JSON.stringify(report)}\n`);
