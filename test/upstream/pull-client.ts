import { createHash } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { expectMarked, expectNoSecrets } from '../support/marked-secrets.ts';
import { TunnelAgent, type ProxyAddress } from './tunnel-agent.ts';

export interface PullOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The value of a Range header, `bytes=` included. */
  readonly range?: string;
  /** Carries the mark of secrets. */
  readonly authorization?: string;
  /** Bytes a second that the client takes. */
  readonly rate?: number;
  /** The client leaves when it has this many bytes; what came with them does not count. */
  readonly leaveAfter?: number;
  /** The client takes no more when it has this many bytes, until `resume` is called. */
  readonly stallAfter?: number;
}

/** What came of a request. Times are those of `performance.now()`. */
export interface Pulled {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly headersAt: number;
  readonly firstByteAt: number;
  readonly endedAt: number;
  readonly bytes: number;
  /** Of the bytes that came, in hex. */
  readonly sha256: string;
  /** A body of at most 64 KiB; empty for a larger one. */
  readonly body: Buffer;
  /** True where the answer came to its proper end. */
  readonly complete: boolean;
  /** Why it did not. */
  readonly error: string | undefined;
}

/** A request under way. */
export interface Pull {
  /** Settles when the request is with the kernel, or over. */
  readonly sent: Promise<void>;
  /** Settles when the headers are there, or the request is over. */
  readonly headers: Promise<void>;
  /** Settles when a byte of the body is there, or the request is over. */
  readonly firstByte: Promise<void>;
  /** Settles when that many bytes are there, or the request is over. */
  reached(bytes: number): Promise<void>;
  /** Rejects only where a refusal tells a secret. */
  readonly done: Promise<Pulled>;
  readonly bytes: number;
  readonly status: number;
  leave(): void;
  resume(): void;
}

/** A client of one registry behind the proxy; its connections are kept and used again. */
export interface PullClient extends Disposable {
  open(path: string, options?: PullOptions): Pull;
  get(path: string, options?: PullOptions): Promise<Pulled>;
  head(path: string, options?: PullOptions): Promise<Pulled>;
  close(): void;
}

const KEPT = 64 * 1024;

export function createPullClient(proxy: ProxyAddress, registry: string): PullClient {
  const agent = new TunnelAgent(proxy, registry);
  const open: PullClient['open'] = (path, options = {}) => startPull(agent, registry, path, options);
  const close = (): void => agent.destroy();
  return {
    open,
    get: (path, options) => open(path, options).done,
    head: (path, options) => open(path, { ...options, method: 'HEAD' }).done,
    close,
    [Symbol.dispose]: close,
  };
}

function startPull(agent: TunnelAgent, registry: string, path: string, options: PullOptions): Pull {
  const sent = Promise.withResolvers<void>();
  const headers = Promise.withResolvers<void>();
  const firstByte = Promise.withResolvers<void>();
  const done = Promise.withResolvers<Pulled>();
  const marks = new Map<number, PromiseWithResolvers<void>>();
  const hash = createHash('sha256');
  const kept: Buffer[] = [];
  let answer: IncomingMessage | undefined;
  let bytes = 0;
  let headersAt = Number.NaN;
  let firstByteAt = Number.NaN;
  let over = false;

  if (options.authorization !== undefined) expectMarked(options.authorization, 'the authorization');
  const request = httpRequest({
    agent,
    method: options.method ?? 'GET',
    path,
    headers: {
      host: registry,
      ...(options.range === undefined ? {} : { range: options.range }),
      ...(options.authorization === undefined ? {} : { authorization: options.authorization }),
      ...options.headers,
    },
  });

  function end(error: string | undefined): void {
    if (over) return;
    over = true;
    const body = bytes > KEPT ? Buffer.alloc(0) : Buffer.concat(kept);
    if ((answer?.statusCode ?? 0) >= 400) tellNothing(JSON.stringify(answer?.headers), body);
    done.resolve({
      status: answer?.statusCode ?? 0,
      headers: answer?.headers ?? {},
      headersAt,
      firstByteAt,
      endedAt: performance.now(),
      bytes,
      sha256: hash.digest('hex'),
      body,
      complete: error === undefined,
      error,
    });
    sent.resolve();
    headers.resolve();
    firstByte.resolve();
    for (const { resolve } of marks.values()) resolve();
  }

  function tellNothing(headers: string, body: Buffer): void {
    try {
      expectNoSecrets(['the headers of a refusal', headers], ['the body of a refusal', body]);
    } catch (leak) {
      done.reject(leak);
    }
  }

  function take(given: Buffer, from: IncomingMessage): void {
    if (over) return;
    const { leaveAfter = Infinity, stallAfter = Infinity, rate } = options;
    const chunk = given.subarray(0, leaveAfter - bytes);
    if (bytes === 0) {
      firstByteAt = performance.now();
      firstByte.resolve();
    }
    const before = bytes;
    bytes += chunk.length;
    hash.update(chunk);
    if (bytes <= KEPT) kept.push(chunk);
    else kept.length = 0;
    for (const [mark, { resolve }] of marks) if (bytes >= mark) resolve();
    if (bytes >= leaveAfter) return leave();
    if (before < stallAfter && bytes >= stallAfter) return void from.pause();
    if (rate === undefined) return;
    from.pause();
    setTimeout(() => from.resume(), (chunk.length / rate) * 1000);
  }

  function leave(): void {
    request.destroy();
    end('left');
  }

  request.on('response', (response) => {
    answer = response;
    headersAt = performance.now();
    headers.resolve();
    response.on('data', (chunk: Buffer) => take(chunk, response));
    response.on('end', () => end(response.complete ? undefined : 'cut'));
    response.on('error', (error) => end(error.message));
    response.on('close', () => end('cut'));
  });
  request.on('error', (error) => end(error.message));
  request.on('finish', () => sent.resolve());
  request.end();
  return {
    sent: sent.promise,
    headers: headers.promise,
    firstByte: firstByte.promise,
    reached(mark) {
      if (over || bytes >= mark) return Promise.resolve();
      const found = marks.get(mark) ?? Promise.withResolvers<void>();
      marks.set(mark, found);
      return found.promise;
    },
    done: done.promise,
    get bytes() {
      return bytes;
    },
    get status() {
      return answer?.statusCode ?? 0;
    },
    leave,
    resume: () => void answer?.resume(),
  };
}
