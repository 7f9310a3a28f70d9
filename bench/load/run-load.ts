import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Pinning } from '../machine.ts';
import type { GroupResult, Job } from './job.ts';

const TIMEOUT_MS = 120_000;

/** Runs a job in a process of its own; gives the results of its groups. */
export function runLoad(job: Job, { client }: Pinning): Promise<readonly GroupResult[]> {
  const own = [join(import.meta.dirname, 'main.ts'), JSON.stringify(job)];
  const [pinned, ...rest] = client;
  const program = pinned ?? process.execPath;
  const args = pinned === undefined ? own : [...rest, process.execPath, ...own];
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: TIMEOUT_MS });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as GroupResult[]);
      else reject(new Error(`the load generator ended with ${code}`));
    });
  });
}
