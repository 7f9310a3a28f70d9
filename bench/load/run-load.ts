import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Pinning } from '../machine.ts';
import type { Target } from './connection.ts';
import type { Group, GroupResult, Job } from './job.ts';

const TIMEOUT_MS = 300_000;

/**
 * Loads a server with groups of clients, each in a process of its own: what one group reads never delays another's.
 * Groups without an end go on until the others are done.
 * @param signal cuts all of them; the promise rejects.
 */
export async function runLoad(
  target: Target,
  groups: readonly Group[],
  pinning: Pinning,
  signal?: AbortSignal,
): Promise<readonly GroupResult[]> {
  const loads = groups.map((group) => ({ group, ...start({ target, group }, pinning, signal) }));
  const result = Promise.all(loads.map((load) => load.result));
  try {
    const bounded = loads.filter(({ group }) => group.requests !== undefined);
    await Promise.race([result, Promise.all(bounded.map((load) => load.result))]);
  } finally {
    for (const { child } of loads) child.kill('SIGTERM');
  }
  return result;
}

function start(
  job: Job,
  { client }: Pinning,
  signal: AbortSignal | undefined,
): { child: ChildProcess; result: Promise<GroupResult> } {
  const own = [join(import.meta.dirname, 'main.ts'), JSON.stringify(job)];
  const [pinned, ...rest] = client;
  const program = pinned ?? process.execPath;
  const args = pinned === undefined ? own : [...rest, process.execPath, ...own];
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    ...(signal === undefined ? {} : { signal }),
  });
  const result = new Promise<GroupResult>((resolve, reject) => {
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as GroupResult);
      else reject(new Error(`the load generator ended with ${code}`));
    });
  });
  return { child, result };
}
