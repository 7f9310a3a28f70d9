import type { Socket } from 'node:net';
import type { BreakwaterError } from '../../registry/errors.ts';
import { proxyError } from './http-proxy.ts';
import type { Hop } from './routes.ts';

/** Asks a SOCKS 5 proxy (RFC 1928, RFC 1929) at the other end of a socket for a connection, which the socket then is. */
export async function connectThrough(
  socket: Socket,
  hop: Hop,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  const { login } = hop.proxy;
  // most never need it
  const { SocksClient } = await import('socks');
  const onAbort = (): void => void socket.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await SocksClient.createConnection({
      command: 'connect',
      destination: { host, port },
      existing_socket: socket,
      proxy: {
        type: 5,
        host: hop.proxy.host,
        port: hop.proxy.port,
        ...(login === undefined ? {} : { userId: login.username, password: login.password.reveal() }),
      },
    });
    return socket;
  } catch (thrown) {
    socket.destroy();
    if (signal.aborted) throw signal.reason;
    throw socksFailure(hop, `${host}:${port}`, thrown);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The library's error holds its options, and so the password: it is no cause. */
function socksFailure(hop: Hop, target: string, thrown: unknown): BreakwaterError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  if (!/authentication|no accepted auth/i.test(reason))
    return proxyError(hop, `did not reach ${target}: ${reason}`);
  return proxyError(hop, `takes no such login: ${reason}`, {
    mend: `Write the user and the password before the host in ${hop.setting}, user:password@.`,
  });
}
