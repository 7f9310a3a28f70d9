import type { Server } from 'node:http';
import { BreakwaterError } from '../registry/errors.ts';

/**
 * Binds a server; gives the address it listens on as `host:port`.
 * @throws `LISTEN_FAILED` with what to do about it.
 */
export function listen(server: Server, { host, port }: { host: string; port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new BreakwaterError('LISTEN_FAILED', `LISTEN=${host}:${port}: ${cause.message}`, {
          cause,
          mend: MENDS[cause.code ?? ''] ?? 'Set LISTEN to an address of this machine.',
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

const MENDS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Another program listens there: stop it, or set LISTEN to another port.',
  EACCES: 'Ports below 1024 need privileges: set LISTEN to a higher port.',
};
