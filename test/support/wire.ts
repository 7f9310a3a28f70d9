import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { LocalProxy } from './local-proxy.ts';

/** As many bytes of headers as any test makes the proxy send. */
const MAX_HEADER_SIZE = 1 << 20;

type Address = Pick<LocalProxy, 'host' | 'port'>;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Question {
  /** `user:password` for the proxy. */
  readonly login?: string;
  /** Another address of this machine to come from. */
  readonly from?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly keepAlive?: boolean;
}

/** A connection to the proxy, from another address of this machine where one is given. */
export async function dial({ host, port }: Address, localAddress?: string): Promise<Socket> {
  const socket = connect({
    host,
    port,
    allowHalfOpen: true,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes and reads all that comes back until the proxy ends the connection. */
export async function sendRaw(proxy: Address, text: string): Promise<string> {
  const socket = await dial(proxy);
  socket.write(text);
  const answer = await buffer(socket);
  socket.destroy();
  return answer.toString();
}

/** Asks for a tunnel; the socket that comes back carries what follows the proxy's answer. */
export async function openTunnel(
  proxy: LocalProxy,
  target: string,
  localAddress?: string,
  login?: string,
): Promise<{ socket: Socket; status: number }> {
  const socket = await dial(proxy, localAddress);
  socket.write(connectRequest(target, login));
  return { socket, status: await readHead(socket) };
}

/** TLS with what is behind a CONNECT, trusting the proxy's CA. */
export async function openSecure(
  proxy: LocalProxy,
  target: string,
  options: ConnectionOptions & { readonly localAddress?: string; readonly login?: string } = {},
): Promise<TLSSocket> {
  const { localAddress, login, ...rest } = options;
  const { socket, status } = await openTunnel(proxy, target, localAddress, login);
  if (status !== 200) throw new Error(`CONNECT ${target}: ${status}`);
  return handshake(socket, proxy, target, rest);
}

/** As `openSecure`, with the ClientHello in the same packet as the CONNECT. */
export async function openSecureEarly(proxy: LocalProxy, target: string): Promise<TLSSocket> {
  const socket = await dial(proxy);
  let begun = false;
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      socket.write(begun ? chunk : Buffer.concat([Buffer.from(connectRequest(target)), chunk]), done);
      if (begun) return;
      begun = true;
      readHead(socket).then(
        () => socket.on('data', (data: Buffer) => stream.push(data)).on('end', () => stream.push(null)),
        (error: Error) => stream.destroy(error),
      );
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  return handshake(stream, proxy, target, {});
}

/** One request on a connection of one's own. */
export async function ask(socket: Duplex, path: string, question: Question = {}): Promise<Answer> {
  const request = httpRequest({
    path,
    method: question.method ?? 'GET',
    headers: {
      host: 'test',
      connection: question.keepAlive === true ? 'keep-alive' : 'close',
      ...question.headers,
    },
    createConnection: () => socket,
    maxHeaderSize: MAX_HEADER_SIZE,
  });
  request.end();
  const [response] = await once(request, 'response');
  return { status: response.statusCode, headers: response.headers, body: await buffer(response) };
}

/** One request to the proxy itself. */
export async function askPlain(proxy: LocalProxy, path: string, question: Question = {}): Promise<Answer> {
  return ask(await dial(proxy, question.from), path, {
    ...question,
    headers: {
      host: URL.canParse(path) ? new URL(path).host : `${proxy.host}:${proxy.port}`,
      ...(question.login === undefined ? {} : { 'proxy-authorization': basicLogin(question.login) }),
      ...question.headers,
    },
  });
}

/** One request to an intercepted registry. */
export async function askRegistry(
  proxy: LocalProxy,
  registry: string,
  path: string,
  question: Question = {},
): Promise<Answer> {
  const secure = await openSecure(proxy, registry, {
    ...(question.login === undefined ? {} : { login: question.login }),
    ...(question.from === undefined ? {} : { localAddress: question.from }),
  });
  try {
    return await ask(secure, path, { ...question, headers: { host: registry, ...question.headers } });
  } finally {
    secure.destroy();
  }
}

async function handshake(
  socket: Duplex,
  proxy: LocalProxy,
  target: string,
  options: ConnectionOptions,
): Promise<TLSSocket> {
  const servername = target.slice(0, target.lastIndexOf(':'));
  const ca = options.ca ?? readFileSync(proxy.caFile);
  const secure = tlsConnect({ socket, servername, ...options, ca });
  secure.allowHalfOpen = false;
  await once(secure, 'secureConnect');
  return secure;
}

function connectRequest(target: string, login?: string): string {
  const header = login === undefined ? '' : `Proxy-Authorization: ${basicLogin(login)}\r\n`;
  return `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${header}\r\n`;
}

function basicLogin(login: string): string {
  return `Basic ${Buffer.from(login).toString('base64')}`;
}

/** Reads a response's head and leaves what follows it in the socket. */
async function readHead(socket: Socket): Promise<number> {
  let head = Buffer.alloc(0);
  for (;;) {
    const end = head.indexOf('\r\n\r\n');
    if (end >= 0) {
      const rest = head.subarray(end + 4);
      if (rest.length > 0) socket.unshift(rest);
      return Number(/^HTTP\/1\.1 (\d{3}) /.exec(head.toString('latin1'))?.[1]);
    }
    const chunk: unknown = socket.read();
    if (chunk instanceof Buffer) head = Buffer.concat([head, chunk]);
    else if (socket.readableEnded) throw new Error(`the proxy ended the connection: ${head.toString()}`);
    else await Promise.race([once(socket, 'readable'), once(socket, 'end')]);
  }
}
