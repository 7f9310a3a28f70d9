import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expectNoSecrets, secretIn, type Written } from '../support/marked-secrets.ts';
import type { Content } from './content.ts';
import {
  createRequestLog,
  type MutableRecord,
  type RecordedRequest,
  type RequestLog,
  type RequestMatch,
} from './recorded-request.ts';
import { errorAnswer, type Answer, type Reply } from './reply.ts';
import { createRules, type Hold, type Rule, type Script } from './rules.ts';
import { sendReply } from './send-reply.ts';
import { testTls } from './test-tls.ts';

export interface ServerOptions {
  readonly tls?: boolean;
}

const FORM = 'application/x-www-form-urlencoded';

/** Gives the right answer to a request, or undefined where it is another's. */
type Handler = (request: RecordedRequest) => Answer | undefined;

/** Answers a request whose body it reads itself; false where it is another's. */
type Taker = (request: IncomingMessage, response: ServerResponse, record: MutableRecord) => boolean;

/** The servers that clients send their credentials to, and that give or take secrets by themselves. */
const knowing = new Set<string>();

/** From now on the server of this name may be sent secrets in headers and forms; its `close` fails where another is. */
export function knowsSecrets(host: string): void {
  knowing.add(host);
}

/** An HTTP server in this process that answers rightly, unless a rule says otherwise, and records everything. */
export interface ScriptedServer extends AsyncDisposable {
  readonly tls: boolean;
  readonly port: number;
  /** `localhost:PORT`, its name as a registry. */
  readonly host: string;
  /** The same server under its name or its address, which are different origins and hosts. */
  origin(name?: 'localhost' | '127.0.0.1'): string;
  readonly requests: RequestLog;
  nextRequest(match?: RequestMatch): Promise<RecordedRequest>;
  on(match: RequestMatch, script: Script, times?: number): Rule;
  hold(match: RequestMatch, at: 'headers' | number, reply?: Reply): Hold;
  handle(handler: Handler): void;
  /** Before all others. */
  take(taker: Taker): void;
  /** Serves content at a path, whatever else would answer there. */
  serve(path: string, content: Content, headers?: Readonly<Record<string, string>>): void;
  /** Forgets rules and requests. */
  reset(): void;
  close(): Promise<void>;
}

export async function startScriptedServer({ tls = false }: ServerOptions = {}): Promise<ScriptedServer> {
  const requests = createRequestLog();
  const rules = createRules();
  const handlers: Handler[] = [];
  const takers: Taker[] = [];
  const told: Written[] = [];
  const server: Server = tls ? createHttpsServer(await testTls()) : createHttpServer();

  function hear(where: string, what: string): void {
    if (secretIn(what) !== undefined) told.push([where, what]);
  }

  function rightAnswer(record: RecordedRequest): Answer {
    for (const handler of handlers) {
      const answer = handler(record);
      if (answer !== undefined) return answer;
    }
    return errorAnswer(404, 'NOT_FOUND');
  }

  server.on('request', (request, response) => {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const record = requests.add(request, response);
    // an address may be signed: its query is the business of whoever made it
    hear(`the headers of ${record.method} ${record.path}`, JSON.stringify(record.headers));
    if (takers.some((taker) => taker(request, response, record))) return;
    const respond = (): void => {
      const answer = rightAnswer(record);
      sendReply(request, response, answer, rules.replyTo(record), record).catch(() =>
        request.socket.destroy(),
      );
    };
    if (request.headers['content-type']?.startsWith(FORM) !== true) {
      request.resume();
      respond();
      return;
    }
    text(request).then(
      (body) => {
        record.form = new URLSearchParams(body);
        hear(`the form of ${record.method} ${record.path}`, body);
        respond();
      },
      () => request.socket.destroy(),
    );
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>(
    (resolve) => void server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 }, resolve),
  );
  const { port } = server.address() as AddressInfo;
  const host = `localhost:${port}`;

  const close = async (): Promise<void> => {
    rules.clear();
    const closed = new Promise((resolve) => void server.close(resolve));
    server.closeAllConnections();
    await closed;
    if (!knowing.has(host)) expectNoSecrets(...told);
  };
  return {
    tls,
    port,
    host,
    origin: (name = 'localhost') => `${tls ? 'https' : 'http'}://${name}:${port}`,
    requests,
    nextRequest: (match) => requests.next(match),
    on: (match, script, times) => rules.on(match, script, times),
    hold: (match, at, reply) => rules.hold(match, at, reply),
    handle: (handler) => void handlers.push(handler),
    take: (taker) => void takers.push(taker),
    serve(path, content, headers = {}) {
      handlers.unshift((record) => {
        if (record.path !== path) return undefined;
        return { status: 200, headers: { 'accept-ranges': 'bytes', ...headers }, content };
      });
    },
    reset() {
      rules.clear();
      requests.forget();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
