import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { Content } from './content.ts';
import { TunnelAgent, type ProxyAddress } from './tunnel-agent.ts';

interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly authorization?: string;
  readonly body?: Content;
  /** Without an announced length. */
  readonly chunked?: boolean;
  /** The body is sent when the server says so. */
  readonly expectContinue?: boolean;
  /** The body stops here until `resume`. */
  readonly stopAt?: number;
}

export interface Sent {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Bytes of the body that were with the kernel when the answer came. */
  readonly bytesSent: number;
  /** Why there is no answer. */
  readonly error: string | undefined;
}

interface Send {
  /** True when the server said to go on, false where it answered before. */
  readonly continued: Promise<boolean>;
  /** Never rejects. */
  readonly done: Promise<Sent>;
  readonly bytesSent: number;
  resume(): void;
  leave(): void;
}

/** A client that changes things on one registry behind the proxy. */
export interface PushClient extends Disposable {
  open(method: string, path: string, options?: SendOptions): Send;
  send(method: string, path: string, options?: SendOptions): Promise<Sent>;
}

export function createPushClient(proxy: ProxyAddress, registry: string): PushClient {
  const agent = new TunnelAgent(proxy, registry);
  const open: PushClient['open'] = (method, path, options = {}) =>
    startSend(agent, registry, method, path, options);
  return {
    open,
    send: (method, path, options) => open(method, path, options).done,
    [Symbol.dispose]: () => agent.destroy(),
  };
}

function startSend(
  agent: TunnelAgent,
  registry: string,
  method: string,
  path: string,
  options: SendOptions,
): Send {
  const { body, chunked = false, expectContinue = false, authorization } = options;
  const request = httpRequest({
    agent,
    method,
    path,
    headers: {
      host: registry,
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined || chunked ? {} : { 'content-length': String(body.size) }),
      ...(body !== undefined && chunked ? { 'transfer-encoding': 'chunked' } : {}),
      ...(body === undefined ? { 'content-length': '0' } : {}),
      ...(expectContinue ? { expect: '100-continue' } : {}),
      ...options.headers,
    },
  });
  const continued = Promise.withResolvers<boolean>();
  const done = Promise.withResolvers<Sent>();
  const go = Promise.withResolvers<void>();
  let bytesSent = 0;
  let answered = false;

  async function sendBody(): Promise<void> {
    for (const chunk of body?.bytes() ?? []) {
      if (options.stopAt !== undefined && bytesSent >= options.stopAt) await go.promise;
      if (answered || request.destroyed) return;
      await new Promise<void>((resolve) => void request.write(chunk, () => resolve()));
      bytesSent += chunk.length;
    }
    request.end();
  }

  const fail = (error: Error): void => {
    continued.resolve(false);
    done.resolve({ status: 0, headers: {}, body: Buffer.alloc(0), bytesSent, error: error.message });
  };
  request.on('continue', () => {
    continued.resolve(true);
    sendBody().catch(fail);
  });
  request.on('response', (response) => {
    answered = true;
    continued.resolve(false);
    const atAnswer = bytesSent;
    buffer(response).then((given) => {
      done.resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: given,
        bytesSent: atAnswer,
        error: undefined,
      });
      if (!request.writableEnded) request.destroy();
    }, fail);
  });
  request.on('error', fail);
  if (expectContinue) request.flushHeaders();
  else sendBody().catch(fail);
  return {
    continued: continued.promise,
    done: done.promise,
    get bytesSent() {
      return bytesSent;
    },
    resume: () => go.resolve(),
    leave: () => void request.destroy(),
  };
}
