import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeContents } from '../content.ts';
import { parseFlags } from '../flags.ts';
import { open } from '../load/connection.ts';
import { runLoad } from '../load/run-load.ts';
import { describeMachine, describeVersions, pinning } from '../machine.ts';
import { usageOf } from '../process-usage.ts';
import { startRegistry } from '../registry.ts';
import { startBreakwater } from '../servers/breakwater.ts';
import { together } from './together.ts';

/** Many clients ask at once for one cold blob: what upstream sees of it, and the memory it takes. */
const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1000' },
    size: { type: 'string', default: '2048' },
    seconds: { type: 'string', default: '60' },
  },
});
const clients = Number(values.clients);
const size = Number(values.size) * 2 ** 20;
const seconds = Number(values.seconds);

/** Clients, and the size of the blob that they ask for together, MiB; upstream is slower than they are. */
const HERDS = [
  [8, 128],
  [64, 16],
  [1000, 2],
] as const;

const folder = mkdtempSync(join(tmpdir(), 'breakwater-herd-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const pins = pinning();
const { main, nodeFlags } = parseFlags([]);
const rows: string[] = [];
for (const [herd, mebibytes] of HERDS) {
  const { head, lastHead, first, lastFirst, spread, requests } = await together(
    folder,
    main,
    nodeFlags,
    herd,
    mebibytes * 2 ** 20,
    pins,
  );
  const [heads, firsts] = [
    [head, lastHead],
    [first, lastFirst],
  ].map((pair) => pair.map((time) => time.toFixed(1)).join(' / '));
  rows.push(
    `| ${herd} × ${mebibytes} MiB | ${requests} | ${heads} | ${firsts} | ${(spread * 100).toFixed(1)} % |`,
  );
}
const { large } = makeContents(join(folder, 'www'), size);
const registry = await startRegistry([large]);
const server = await startBreakwater('proxy', folder, main, registry.port, nodeFlags, pins);
const before = usageOf(server.pids());
const stop = new AbortController();
const load = runLoad(
  server.target,
  [{ path: large.path, clients, requests: 1, kept: true }],
  pins,
  stop.signal,
).catch((error: unknown) => {
  if (!stop.signal.aborted) throw error;
});
const timer = setTimeout(() => stop.abort(), seconds * 1000);
await load;
clearTimeout(timer);
const after = usageOf(server.pids());
const asked = registry.requests();
await wholeNow();
process.stdout.write(
  [
    `${describeMachine()}; ${describeVersions(undefined)}; ${new Date().toISOString().slice(0, 10)}.`,
    '| clients × blob | requests upstream | headers after upstream’s, median / last, ms | first byte, median / last, ms | last end after the first |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    `${clients} clients, a cold blob of ${values.size} MiB, as fast as all can read for ${seconds} s.`,
    '',
    '| measure | figure |',
    '| --- | --- |',
    `| requests that upstream saw | ${asked} |`,
    `| RSS before, MiB | ${before.rss.toFixed(0)} |`,
    `| peak RSS, MiB | ${after.peak.toFixed(0)} |`,
    `| CPU, s | ${(after.cpu - before.cpu).toFixed(1)} |`,
    '',
  ].join('\n'),
);
await server.stop();
registry.close();

/** The clients were cut in the middle; one more gets every byte. */
async function wholeNow(): Promise<void> {
  const connection = await open(server.target);
  const { length } = await connection.get(large.path);
  connection.close();
  if (length !== size) throw new Error(`the blob came with ${length} bytes`);
  if (registry.requests() !== asked) throw new Error('a client asked upstream again');
}
