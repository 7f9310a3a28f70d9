import type { Server } from 'node:net';
import { BreakwaterError } from '../registry/errors.ts';

/**
 * Binds a server; gives the address it listens on as `host:port`.
 * @throws `LISTEN_FAILED` with what to do about it.
 */
export function listen(
  server: Server,
  { host, port }: { host: string; port: number },
  variable = 'LISTEN',
): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new BreakwaterError('LISTEN_FAILED', `${variable}=${host}:${port}: ${cause.message}`, {
          cause,
          mend: mendOf(cause.code, variable),
        }),
      );
    });
    server.listen({ host, port, backlog: 4096 }, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') return resolve(String(address));
      resolve(
        address.family === 'IPv6'
          ? `[${address.address}]:${address.port}`
          : `${address.address}:${address.port}`,
      );
    });
  });
}

function mendOf(code: string | undefined, variable: string): string {
  if (code === 'EADDRINUSE')
    return `Another program listens there: stop it, or set ${variable} to another port.`;
  if (code === 'EACCES') return `Ports below 1024 need privileges: set ${variable} to a higher port.`;
  return `Set ${variable} to an address of this machine.`;
}
