import { Agent, type ClientRequestArgs } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { callbackify } from 'node:util';

/** What an agent needs to know of the proxy; its port may change when it is started again. */
export interface ProxyAddress {
  readonly port: number;
  readonly ca: string;
}

/** Connects as clients of an HTTPS proxy do: CONNECT, then TLS with the target's name, kept alive. */
export class TunnelAgent extends Agent {
  readonly #proxy: ProxyAddress;
  readonly #target: string;
  readonly #name: string;
  #context: SecureContext | undefined;

  /** @param target `host:port` of the registry. */
  constructor(proxy: ProxyAddress, target: string) {
    super({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 256 });
    this.#proxy = proxy;
    this.#target = target;
    this.#name = target.replace(/:\d+$/, '');
  }

  override createConnection(
    _options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    callbackify(() => this.#connect())(callback ?? (() => undefined));
    return undefined;
  }

  async #connect(): Promise<TLSSocket> {
    // made once, as parsing the root for each of a thousand clients takes longer than their handshakes
    this.#context ??= createSecureContext({ ca: this.#proxy.ca });
    const raw = await tunnel(this.#proxy.port, this.#target);
    const servername = /^[\d.]+$/.test(this.#name) ? '' : this.#name;
    const secure = connectTls({ socket: raw, secureContext: this.#context, servername, host: this.#name });
    await settled(secure, 'secureConnect');
    return secure;
  }
}

async function tunnel(port: number, target: string): Promise<Socket> {
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  await settled(socket, 'connect');
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  let head = '';
  while (!head.includes('\r\n\r\n')) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) await settled(socket, 'readable');
    else head += chunk.toString('latin1');
  }
  if (head.startsWith('HTTP/1.1 200 ')) return socket;
  socket.destroy();
  throw new Error(`CONNECT ${target}: ${head.slice(0, head.indexOf('\r\n'))}`);
}

function settled(socket: Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    const onClose = (): void => reject(new Error(`the connection ended before ${event}`));
    socket.once('error', onError);
    socket.once('close', onClose);
    socket.once(event, () => {
      socket.off('error', onError);
      socket.off('close', onClose);
      resolve();
    });
  });
}
