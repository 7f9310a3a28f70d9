import { spawn, type ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import type { Content } from '../content.ts';
import type { Target } from '../load/connection.ts';

/** A server that is measured. */
export interface MeasuredServer {
  readonly name: string;
  readonly target: Target;
  /** All processes that do its work. */
  pids(): readonly number[];
  /** The file that it reads an object from. */
  fileOf(content: Content): string;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 15_000;

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

/** Starts a program whose output goes to a file, and waits until it listens. */
export async function startProgram(
  command: readonly string[],
  port: number,
  output: string,
  env: NodeJS.ProcessEnv,
): Promise<ChildProcess> {
  const log = openSync(output, 'w');
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', log, log], env });
  process.once('exit', () => child.kill());
  const end = performance.now() + START_TIMEOUT_MS;
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}: see ${output}`);
    if (performance.now() > end) throw new Error(`${program} does not listen: see ${output}`);
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
  return child;
}

export async function stopProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => void child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(timer);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
