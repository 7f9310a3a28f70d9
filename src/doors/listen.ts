import { lstat, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import type { ListenPlace } from '../config/listen-address.ts';
import { BreakwaterError } from '../registry/errors.ts';

/** Connections that wait to be accepted. */
const BACKLOG = 4096;

/**
 * Binds a server; gives the address it listens on as `host:port`, or `unix:/path`.
 * @throws `LISTEN_FAILED` with what to do about it.
 */
export async function listen(server: Server, place: ListenPlace, variable = 'LISTEN'): Promise<string> {
  if ('path' in place) await removeLeftover(place.path);
  const shown = 'path' in place ? `unix:${place.path}` : `${place.host}:${place.port}`;
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => {
      reject(
        new BreakwaterError('LISTEN_FAILED', `${variable}=${shown}: ${cause.message}`, {
          cause,
          mend: mendOf(cause.code, variable),
        }),
      );
    };
    server.once('error', onError);
    server.listen({ ...place, backlog: BACKLOG }, () => {
      server.off('error', onError);
      const address = server.address();
      if (address === null || typeof address === 'string') return resolve(shown);
      resolve(
        address.family === 'IPv6'
          ? `[${address.address}]:${address.port}`
          : `${address.address}:${address.port}`,
      );
    });
  });
}

/** A process that was killed leaves its socket, at which nobody listens any more. */
async function removeLeftover(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() === true && !(await answers(path))) await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => settle(true));
    // whatever else it is, it is not ours to remove
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code !== 'ECONNREFUSED'));
  });
}

function mendOf(code: string | undefined, variable: string): string {
  if (code === 'EADDRINUSE')
    return `Another program listens there: stop it, or set ${variable} to another port.`;
  if (code === 'EACCES')
    return `Ports below 1024, and folders of others, need privileges: set ${variable} to another place.`;
  return `Set ${variable} to an address of this machine.`;
}
