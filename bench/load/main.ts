import { constants, setPriority } from 'node:os';
import { percentile } from '../stats.ts';
import { open, type Target } from './connection.ts';
import type { Group, GroupResult, Job } from './job.ts';

/** The load generator: one job as JSON on the command line, its result as JSON on stdout; SIGTERM ends it early. */
const { target, group } = JSON.parse(process.argv[2] ?? '') as Job;
let ended = false;
process.once('SIGTERM', () => (ended = true));
if (group.yields === true) setPriority(constants.priority.PRIORITY_LOW);
process.stdout.write(JSON.stringify(await runGroup(target, group)));
process.exit(0);

async function runGroup(target: Target, group: Group): Promise<GroupResult> {
  const latencies: number[] = [];
  let bytes = 0;
  const begun = performance.now();
  const note = (since: number, length: number): void => {
    latencies.push(performance.now() - since);
    bytes += length;
  };

  async function client(): Promise<void> {
    const kept = group.kept ? await open(target) : undefined;
    const limit = group.requests ?? Infinity;
    const end = begun + (group.seconds ?? Infinity) * 1000;
    for (let done = 0; done < limit && !ended; done += 1) {
      const since = performance.now();
      if (since > end) break;
      const connection = kept ?? (await open(target));
      const { length } = await connection.get(group.path);
      note(since, length);
      if (kept === undefined) connection.close();
    }
    kept?.close();
  }

  await Promise.all(Array.from({ length: group.clients }, client));
  const seconds = (performance.now() - begun) / 1000;
  latencies.sort((a, b) => a - b);
  return {
    requests: latencies.length,
    bytes,
    seconds,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    max: percentile(latencies, 1),
  };
}
