import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Pinning } from '../machine.ts';
import { freePort, startProgram, stopProgram, type MeasuredServer } from './server.ts';

/** Starts the proxy as users do, with a cache and a CA below `folder`; clients reach the registry by CONNECT. */
export async function startBreakwater(
  name: string,
  folder: string,
  main: string,
  registryPort: number,
  nodeFlags: readonly string[],
  { server }: Pinning,
): Promise<MeasuredServer> {
  const port = await freePort();
  const own = join(folder, name);
  const cache = join(own, 'cache');
  mkdirSync(own);
  const child = await startProgram(
    [...server, process.execPath, ...nodeFlags, main, 'serve'],
    port,
    join(own, 'log'),
    {
      PATH: process.env['PATH'],
      LISTEN: `127.0.0.1:${port}`,
      CACHE_DIR: cache,
      CA_DIR: join(own, 'ca'),
      ADMIN_LISTEN: 'off',
      REGISTRIES: `http://localhost:${registryPort}`,
    },
  );
  const { pid } = child;
  if (pid === undefined) throw new Error('the proxy has no process id');
  return {
    name,
    target: { port, connect: `localhost:${registryPort}`, serverName: 'localhost' },
    pids: () => [pid],
    fileOf: ({ path }) => join(cache, 'blobs/sha256', path.slice(path.lastIndexOf(':') + 1)),
    stop: () => stopProgram(child),
  };
}
