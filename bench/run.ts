import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { makeContents } from './content.ts';
import { parseFlags, USAGE, type Flags } from './flags.ts';
import { runLoad } from './load/run-load.ts';
import { verify } from './load/verify.ts';
import { describeMachine, describeVersions, pinning } from './machine.ts';
import { resetPeak, usageOf } from './process-usage.ts';
import { startRegistry } from './registry.ts';
import { SCENARIOS } from './scenarios/all.ts';
import type { Bench, Figures, Scenario } from './scenarios/scenario.ts';
import { startBreakwater } from './servers/breakwater.ts';
import { ensureNginx, startNginx } from './servers/nginx.ts';
import type { MeasuredServer } from './servers/server.ts';
import { table, type Runs } from './table.ts';

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const say = (text: string): void => void process.stderr.write(`${text}\n`);

try {
  process.stdout.write(await bench(parseFlags(process.argv.slice(2))));
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exitCode = 1;
}

/** Runs the scenarios, server against server; gives the table. */
async function bench(flags: Flags): Promise<string> {
  const scenarios = chosen(flags.only);
  const nginxVersion = flags.against === undefined ? ensureNginx(say) : undefined;
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const root = join(folder, 'www');
  const pins = pinning();
  const contents = makeContents(root, flags.size);
  const registry = await startRegistry(Object.values(contents));
  const servers: MeasuredServer[] = [];
  try {
    const start = (name: string, main: string): Promise<MeasuredServer> =>
      startBreakwater(name, folder, main, registry.port, flags.nodeFlags, pins);
    servers.push(await start('Breakwater', flags.main));
    servers.push(
      flags.against === undefined
        ? await startNginx(folder, root, registry.port, pins)
        : await start('the other', flags.against),
    );
    for (const server of servers) {
      for (const content of Object.values(contents)) await verify(server.target, content);
    }
    const asked = registry.requests();
    const tools: Bench = {
      contents,
      async load(server, groups) {
        const pids = server.pids();
        resetPeak(pids);
        const { cpu } = usageOf(pids);
        const results = await runLoad(server.target, groups, pins);
        const after = usageOf(pids);
        return { groups: results, cpu: after.cpu - cpu, rss: after.rss, peak: after.peak };
      },
    };
    const runs: Runs[] = [];
    for (const scenario of scenarios) runs.push(await interleaved(scenario, tools, servers, flags.runs));
    if (registry.requests() !== asked) throw new Error('a cache asked upstream while it was measured');
    return [
      `${describeMachine()}; ${describeVersions(nginxVersion)}; ${new Date().toISOString().slice(0, 10)}.`,
      `Medians of ${flags.runs} runs in turn, ${flags.size / 2 ** 20} MiB blob, TLS 1.3 AES-128-GCM, EC P-256; ${pins.text}; the proxy as ${basename(flags.main)} with ${flags.nodeFlags.join(' ')}.`,
      nginxVersion === undefined
        ? `The other: ${flags.against}.`
        : 'nginx: one worker, static files for blobs and `proxy_cache` for manifests, no CONNECT before TLS.',
      '',
      table(runs, servers[0]?.name ?? '', servers[1]?.name ?? ''),
      '',
    ].join('\n');
  } finally {
    for (const server of servers) await server.stop();
    registry.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a scenario against each server in turn, after one round that does not count. */
async function interleaved(
  scenario: Scenario,
  tools: Bench,
  servers: readonly MeasuredServer[],
  count: number,
): Promise<Runs> {
  const figures = servers.map((): Figures[] => []);
  for (let run = 0; run <= count; run += 1) {
    for (const [at, server] of servers.entries()) {
      const measured = await scenario.run(tools, server);
      if (run === 0) continue;
      figures[at]?.push(measured);
      say(`${scenario.name} ${run}/${count} ${server.name}: ${JSON.stringify(measured)}`);
    }
  }
  const [ours = [], theirs = []] = figures;
  return { scenario, ours, theirs };
}

/** The scenarios that were asked for, each by its name or the beginning of it. */
function chosen(only: readonly string[]): readonly Scenario[] {
  if (only.length === 0) return SCENARIOS;
  const named = only.flatMap((text) => {
    const exact = SCENARIOS.filter(({ name }) => name === text);
    return exact.length > 0 ? exact : SCENARIOS.filter(({ name }) => name.startsWith(text));
  });
  if (named.length > 0) return named;
  throw new Error(`no such scenario; there are ${SCENARIOS.map(({ name }) => name).join(', ')}`);
}
