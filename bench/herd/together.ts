import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeContents } from '../content.ts';
import { open } from '../load/connection.ts';
import type { Pinning } from '../machine.ts';
import { startRegistry } from '../registry.ts';
import { startBreakwater } from '../servers/breakwater.ts';

/** Bytes a second to all clients together: less than one core can give. */
const RATE = 400e6;

/** How closely many clients of one cold blob follow upstream, and each other. */
export interface Together {
  /** Milliseconds from upstream's headers to those of the median and of the last client. */
  readonly head: number;
  readonly lastHead: number;
  /** The same for the first byte of the body. */
  readonly first: number;
  readonly lastFirst: number;
  /** From the end of the first client to the end of the last one, as a share of the whole time. */
  readonly spread: number;
  readonly requests: number;
}

/** Lets `clients` ask at once on connections that are open, from this very process. */
export async function together(
  folder: string,
  main: string,
  nodeFlags: readonly string[],
  clients: number,
  size: number,
  pins: Pinning,
): Promise<Together> {
  const own = join(folder, `together-${clients}`);
  const { large } = makeContents(own, size);
  const registry = await startRegistry([large], RATE / clients);
  const server = await startBreakwater(`proxy-${clients}`, folder, main, registry.port, nodeFlags, pins);
  const connections = [];
  for (let client = 0; client < clients; client += 1) connections.push(await open(server.target));
  const begun = performance.now();
  const times = await Promise.all(
    connections.map(async (connection) => {
      const time = { head: 0, first: 0, end: 0 };
      await connection.get(
        large.path,
        () => (time.head = performance.now() - registry.answeredAt()),
        () => (time.first = performance.now() - registry.answeredAt()),
      );
      time.end = performance.now() - begun;
      return time;
    }),
  );
  for (const connection of connections) connection.close();
  const requests = registry.requests();
  await server.stop();
  registry.close();
  rmSync(own, { recursive: true });
  const sorted = (of: 'head' | 'first' | 'end'): number[] =>
    times.map((time) => time[of]).sort((a, b) => a - b);
  const [heads, firsts, ends] = [sorted('head'), sorted('first'), sorted('end')];
  const last = (list: number[]): number => list.at(-1) ?? Number.NaN;
  const middle = (list: number[]): number => list[list.length >> 1] ?? Number.NaN;
  return {
    head: middle(heads),
    lastHead: last(heads),
    first: middle(firsts),
    lastFirst: last(firsts),
    spread: (last(ends) - (ends[0] ?? Number.NaN)) / last(ends),
    requests,
  };
}
