import type { IncomingMessage } from 'node:http';
import { BreakwaterError } from '../registry/errors.ts';
import type { RequestBody } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';

/** The body of a client's request, taken chunk by chunk; between two calls the client is held back. */
export interface ClientBody {
  /**
   * The next bytes; undefined at the end.
   * @throws `REQUEST_TIMEOUT` where nothing comes in time, `REQUEST_CUT` where the client left.
   */
  read(): Promise<Buffer | undefined>;
  /** Lets go of the request: a call under way fails, and what still comes is thrown away. */
  release(): void;
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return (headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined;
}

/**
 * Lets a client go on that waits for leave to send its body (RFC 9110 section 10.1.1); to be called when
 * somebody wants the body, and not before.
 */
export function sayContinue({ request, response }: Pick<Exchange, 'request' | 'response'>): void {
  if (!isWaitingClient(request) || response.headersSent) return;
  response.writeContinue();
  // it was to end, as a client that is refused may send its body or not
  response.shouldKeepAlive = !/\bclose\b/i.test(request.headers.connection ?? '');
}

export function isWaitingClient({ headers }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue';
}

/** @param idleTimeout milliseconds between two reads (nginx `client_body_timeout`). */
export function createClientBody(
  exchange: Pick<Exchange, 'request' | 'response'>,
  idleTimeout: number,
): ClientBody {
  const { request } = exchange;
  const chunks: Buffer[] = [];
  let begun = false;
  let ended = false;
  let failure: BreakwaterError | undefined;
  let wake: (() => void) | undefined;

  const onData = (chunk: Buffer): void => {
    request.pause();
    chunks.push(chunk);
    wake?.();
  };
  const onEnd = (): void => {
    ended = true;
    wake?.();
  };
  const fail = (error: BreakwaterError): void => {
    failure ??= error;
    wake?.();
  };
  const onClose = (): void =>
    fail(new BreakwaterError('REQUEST_CUT', 'the client left before its request was complete'));
  request.pause();
  request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  if (request.destroyed) onClose();

  async function news(): Promise<void> {
    const timer = setTimeout(() => {
      fail(new BreakwaterError('REQUEST_TIMEOUT', `nothing of the request came for ${idleTimeout} ms`));
    }, idleTimeout);
    await new Promise<void>((resolve) => {
      wake = resolve;
      request.resume();
    });
    wake = undefined;
    clearTimeout(timer);
  }

  return {
    async read() {
      if (!begun) sayContinue(exchange);
      begun = true;
      if (chunks.length === 0 && !ended && failure === undefined) await news();
      const chunk = chunks.shift();
      if (chunk !== undefined) return chunk;
      if (ended) return undefined;
      throw failure ?? new BreakwaterError('INTERNAL', 'woken without news');
    },
    release() {
      request.off('data', onData).off('end', onEnd).off('close', onClose);
      fail(new BreakwaterError('REQUEST_CUT', 'the request was answered before it was complete'));
      // the listener for errors stays: nobody else would hear them
      if (begun) request.resume();
    },
  };
}

/** The rest of a body. */
export async function* bytesOf(body: ClientBody): AsyncGenerator<Buffer> {
  for (let chunk = await body.read(); chunk !== undefined; chunk = await body.read()) yield chunk;
}

/** A body that goes on as it comes. */
export function passing(body: ClientBody): RequestBody {
  return { replayable: false, open: () => bytesOf(body) };
}

/** A small body that was read already. */
export function inMemory(bytes: Buffer): RequestBody {
  return {
    replayable: true,
    async *open() {
      yield bytes;
    },
  };
}

/** Aborted with `REQUEST_CUT` where the client leaves before it has its answer. */
export function whenGone({ request, response }: Pick<Exchange, 'request' | 'response'>): AbortSignal {
  const gone = new AbortController();
  const leave = (): void => {
    if (response.writableFinished) return;
    gone.abort(
      new BreakwaterError('REQUEST_CUT', `the client left before its ${request.method ?? ''} was answered`),
    );
  };
  if (response.destroyed) leave();
  else response.once('close', leave);
  return gone.signal;
}
