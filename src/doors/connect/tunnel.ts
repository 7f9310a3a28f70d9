import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Config } from '../../config/config.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { Destinations } from '../../upstream/destinations.ts';
import { createClock, type Dialer } from '../../upstream/way/dialer.ts';
import type { ConnectTarget } from './connect-target.ts';

/** Connects a client with a host that is not intercepted and passes bytes both ways, whatever they are. */
export type Tunnel = (client: Socket, head: Buffer, target: ConnectTarget) => Promise<void>;

export function createTunnel(config: Config, destinations: Destinations, dialer: Dialer): Tunnel {
  return async (client, head, target) => {
    const upstream = await reach(target, config, destinations, dialer);
    if (client.destroyed) {
      upstream.destroy();
      return;
    }
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (head.length > 0) upstream.write(head);
    // a pipe ends the other side when one side ends, and pauses it while the other side is full
    client.pipe(upstream);
    upstream.pipe(client);
    const idle = Math.max(config.proxyConnectReadTimeout, config.proxyConnectSendTimeout);
    for (const [socket, peer] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('error', () => cut(peer)); // a plain end would pass what was cut off for whole
      socket.on('close', () => peer.destroySoon());
    }
    // bytes in either direction show that the tunnel lives
    upstream.setTimeout(idle, () => upstream.destroy());
  };
}

/** Only TCP has a reset; TLS is cut by an end without a word. */
function cut(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

/** @throws `TUNNEL_REFUSED` or `TUNNEL_FAILED`. */
async function reach(
  { host, port }: ConnectTarget,
  config: Config,
  destinations: Destinations,
  dialer: Dialer,
): Promise<Socket> {
  const check = destinations.ofClients(host, port);
  using clock = createClock(config.proxyConnectConnectTimeout, () => new Error('timed out'));
  try {
    const socket = await dialer.dial({ traffic: 'tunnel', host, port, check, clock });
    socket.allowHalfOpen = true;
    return socket;
  } catch (cause) {
    if (cause instanceof BreakwaterError && cause.code === 'TUNNEL_REFUSED') throw cause;
    const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
    throw new BreakwaterError('TUNNEL_FAILED', `${host}:${port} cannot be reached: ${reason}`, {
      cause,
      ...(cause instanceof BreakwaterError && cause.mend !== undefined ? { mend: cause.mend } : {}),
    });
  }
}
