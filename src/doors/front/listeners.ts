import type { Server as HttpServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Config } from '../../config/config.ts';
import type { Client } from '../access/admission.ts';
import type { Drain } from '../drain.ts';
import { refuseAtOnce } from '../connect/refuse.ts';
import { listen } from '../listen.ts';
import type { Peers } from '../peers.ts';
import { createConnectionLimits } from './connection-limits.ts';
import { createFront, type FrontParts } from './front.ts';
import { createTlsStage, type TlsStage } from './tls-stage.ts';

export interface ListenerParts {
  readonly config: Config;
  readonly door: HttpServer;
  readonly peers: Peers;
  readonly drain: Drain;
  readonly log: Logger;
}

export interface Listeners {
  /** Where they listen, `host:port` each; the plain one first. */
  readonly addresses: readonly string[];
  /** Ends what watches their files; the drain ends them themselves. */
  close(): Promise<void>;
}

/**
 * Opens the listeners that the settings ask for; the door gets what they let through.
 * @throws `LISTEN_FAILED`, `SETTING_INVALID`.
 */
export async function openListeners({ config, door, peers, drain, log }: ListenerParts): Promise<Listeners> {
  const { proxyProtocolFrom: balancers, clientHeaderTimeout: timeout } = config;
  const limits = createConnectionLimits(
    { total: config.maxConnections, perClient: config.maxConnectionsPerClient },
    log,
  );

  function enter(socket: Socket, client: Client): void {
    peers.set(socket, client);
    door.emit('connection', socket);
  }
  function front(ends: Pick<FrontParts, 'onConnection' | 'onRefused'>): Server {
    const server = createFront({ balancers, timeout, limits, log, ...ends });
    drain.watchFront(server);
    return server;
  }

  const tls = tlsStage(config, log, enter);
  const plainFront = (): Server =>
    front({
      onConnection: (socket, address) => enter(socket, { address, user: undefined }),
      onRefused: refuseAtOnce,
    });
  const plain = plainFront();
  try {
    const [first, ...others] = config.listen;
    const addresses = first === undefined ? [] : [await listen(plain, first)];
    // its clock for slow headers starts with it
    door.emit('listening');
    for (const place of others) addresses.push(await listen(plainFront(), place));
    if (tls !== undefined && config.listenTls !== undefined) {
      const secure = front({
        onConnection: (socket, address) => tls.enter(socket, address),
        onRefused: (socket) => socket.destroy(),
      });
      addresses.push(await listen(secure, config.listenTls, 'LISTEN_TLS'));
    }
    return { addresses, close: async () => tls?.close() };
  } catch (thrown) {
    plain.close();
    await tls?.close();
    throw thrown;
  }
}

function tlsStage(
  { listenTlsCertFile, listenTlsKeyFile, listenTlsClientCaFile, clientHeaderTimeout }: Config,
  log: Logger,
  onSecure: (secured: Socket, client: Client) => void,
): TlsStage | undefined {
  if (listenTlsCertFile === undefined || listenTlsKeyFile === undefined) return undefined;
  const files = { certificate: listenTlsCertFile, key: listenTlsKeyFile, clientCa: listenTlsClientCaFile };
  return createTlsStage({ files, timeout: clientHeaderTimeout, log, onSecure });
}
