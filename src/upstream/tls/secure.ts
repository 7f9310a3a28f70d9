import { isIP, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { TlsProfile } from './profiles.ts';

/** Speaks TLS over a connection; throws what Node does, or the signal's reason. The socket is destroyed then. */
export function secure(
  socket: Socket,
  { context, verify, serverName, sessions, host, port }: TlsProfile,
  signal: AbortSignal,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      socket.destroy();
      return reject(signal.reason);
    }
    const key = `${host}:${port}`;
    const session = sessions.get(key);
    // an address is no server name (RFC 6066, 3), yet the certificate must be for it
    const name = serverName ?? (isIP(host) === 0 ? host : undefined);
    const secured = connect({
      socket,
      host: serverName ?? host,
      ...(name === undefined ? {} : { servername: name }),
      secureContext: context,
      rejectUnauthorized: verify,
      ALPNProtocols: ['http/1.1'],
      ...(session === undefined ? {} : { session }),
    });
    const onAbort = (): void => {
      secured.destroy();
      reject(signal.reason);
    };
    const onError = (error: Error): void => {
      signal.removeEventListener('abort', onAbort);
      sessions.delete(key);
      secured.destroy();
      reject(error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    secured.on('session', (given) => sessions.set(key, given));
    secured.once('error', onError);
    secured.once('secureConnect', () => {
      signal.removeEventListener('abort', onAbort);
      secured.off('error', onError);
      // what is said after the handshake (TLS 1.3: of a client certificate) would be followed by an end that hides it
      secured.on('error', () => secured.destroy());
      resolve(secured);
    });
  });
}
