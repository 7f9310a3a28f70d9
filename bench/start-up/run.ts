import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseDigest, type Digest } from '../../src/registry/digest.ts';
import { openLayout } from '../../src/store/disk/layout.ts';
import { openIndex } from '../../src/store/index/database.ts';
import { createObjectTable } from '../../src/store/index/object-table.ts';
import { parseFlags } from '../flags.ts';
import { describeMachine, describeVersions } from '../machine.ts';
import { usageOf } from '../process-usage.ts';
import { freePort, startProgram, stopProgram } from '../servers/server.ts';
import { median, percentile } from '../stats.ts';

/** Starts the proxy on an index of many objects: how soon it answers, what it takes, what a lookup costs. */
const { values } = parseArgs({
  options: { objects: { type: 'string', default: '1000000' }, runs: { type: 'string', default: '5' } },
});
const count = Number(values.objects);
const runs = Number(values.runs);
/** What it takes in the background after the start is measured this much later. */
const SETTLE_MS = 5_000;
const LOOKUPS = 20_000;

const root = mkdtempSync(join(tmpdir(), 'breakwater-start-up-'));
process.once('exit', () => rmSync(root, { recursive: true, force: true }));
const cache = join(root, 'cache');
mkdirSync(cache);
fill(cache);
const lookups = measureLookups(cache);
const ready: number[] = [];
const first: number[] = [];
const settled: number[] = [];
for (let run = 0; run < runs; run += 1) {
  const port = await freePort();
  const begun = performance.now();
  const { main, nodeFlags } = parseFlags([]);
  const child = await startProgram([process.execPath, ...nodeFlags, main, 'serve'], port, join(root, 'log'), {
    PATH: process.env['PATH'],
    LISTEN: `127.0.0.1:${port}`,
    CACHE_DIR: cache,
    CA_DIR: join(root, 'ca'),
  });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  await response.arrayBuffer();
  ready.push((performance.now() - begun) / 1000);
  const pids = [child.pid ?? 0];
  first.push(usageOf(pids).rss);
  await new Promise((resolve) => void setTimeout(resolve, SETTLE_MS));
  settled.push(usageOf(pids).peak);
  await stopProgram(child);
}
process.stdout.write(
  [
    `${describeMachine()}; ${describeVersions(undefined)}; ${new Date().toISOString().slice(0, 10)}.`,
    `${count} objects in the index, medians of ${runs} starts.`,
    '',
    '| measure | figure |',
    '| --- | --- |',
    `| first answer after the start, s | ${median(ready).toFixed(2)} |`,
    `| RSS at the first answer, MiB | ${median(first).toFixed(0)} |`,
    `| peak RSS when all of the index is known, MiB | ${median(settled).toFixed(0)} |`,
    `| lookup of an object never asked for before, p50, µs | ${percentile(lookups, 0.5).toFixed(1)} |`,
    `| lookup of an object never asked for before, p99, µs | ${percentile(lookups, 0.99).toFixed(1)} |`,
    '',
  ].join('\n'),
);

function named(number: number): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(String(number)).digest('hex')}`);
}

/** An index as a cache of a year has it; the files themselves play no part in a start. */
function fill(folder: string): void {
  const index = openIndex(openLayout(folder).layout.index);
  const objects = createObjectTable(index.database, (error) => {
    throw error;
  });
  index.database.exec('BEGIN');
  for (let number = 0; number < count; number += 1) {
    objects.put({
      digest: named(number),
      size: 1 + ((number * 7919) % 50_000_000),
      mediaType: undefined,
      usedAt: Date.now() - (number % 604_800) * 1000,
    });
  }
  index.database.exec('COMMIT');
  index.close();
}

/** Microseconds a lookup, in order. */
function measureLookups(folder: string): number[] {
  const index = openIndex(openLayout(folder).layout.index);
  const objects = createObjectTable(index.database, (error) => {
    throw error;
  });
  const times = Array.from({ length: LOOKUPS }, (_, lookup) => {
    const digest = named((lookup * 104_729) % count);
    const begun = performance.now();
    objects.get(digest);
    return (performance.now() - begun) * 1000;
  });
  index.close();
  return times.sort((a, b) => a - b);
}
