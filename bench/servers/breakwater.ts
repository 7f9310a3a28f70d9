import { join } from 'node:path';
import type { Flags } from '../flags.ts';
import type { Pinning } from '../machine.ts';
import { freePort, startProgram, stopProgram, type MeasuredServer } from './server.ts';

/** Starts the proxy as users do, with a cache and a CA below `folder`; clients reach the registry by CONNECT. */
export async function startBreakwater(
  folder: string,
  registryPort: number,
  flags: Flags,
  { server }: Pinning,
): Promise<MeasuredServer> {
  const port = await freePort();
  const cache = join(folder, 'cache');
  const child = await startProgram(
    [...server, process.execPath, ...flags.nodeFlags, flags.main, 'serve'],
    port,
    join(folder, 'breakwater.log'),
    {
      PATH: process.env['PATH'],
      LISTEN: `127.0.0.1:${port}`,
      CACHE_DIR: cache,
      CA_DIR: join(folder, 'ca'),
      REGISTRIES: `http://localhost:${registryPort}`,
    },
  );
  const { pid } = child;
  if (pid === undefined) throw new Error('the proxy has no process id');
  return {
    name: 'breakwater',
    target: { port, connect: `localhost:${registryPort}`, serverName: 'localhost' },
    pids: () => [pid],
    fileOf: ({ path }) => join(cache, 'blobs/sha256', path.slice(path.lastIndexOf(':') + 1)),
    stop: () => stopProgram(child),
  };
}
