import { Readable } from 'node:stream';
import { BreakwaterError } from '../registry/errors.ts';

export interface SendingOptions {
  /** For messages. */
  readonly host: string;
  /** Milliseconds in which upstream must take some of the body, and must begin to answer once it has all. */
  readonly sendTimeout: number;
  readonly readTimeout: number;
  /** Ends it from outside. */
  readonly signal: AbortSignal | undefined;
}

/** A body on its way to upstream. */
export interface Sending {
  readonly body: Readable;
  /** Aborted with `UPSTREAM_TIMEOUT` where upstream stands still; what the client does is not counted. */
  readonly signal: AbortSignal;
  /** The answer is there, however much of the body is not. */
  answered(): void;
}

/** Puts a body under clocks that run only while it is upstream's turn (nginx `proxy_send_timeout`). */
export function startSending(chunks: AsyncIterable<Uint8Array>, options: SendingOptions): Sending {
  const { host, sendTimeout, readTimeout } = options;
  const late = new AbortController();
  let clock: NodeJS.Timeout | undefined;
  let answered = false;

  function wait(milliseconds: number, what: string): void {
    if (answered) return;
    clock = setTimeout(() => {
      late.abort(new BreakwaterError('UPSTREAM_TIMEOUT', `${host}: ${what} for ${milliseconds} ms`));
    }, milliseconds);
  }

  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of chunks) {
        wait(sendTimeout, 'took nothing of the request');
        yield chunk;
        clearTimeout(clock);
      }
    } catch (thrown) {
      clearTimeout(clock);
      throw thrown;
    }
    wait(readTimeout, 'no answer to the request');
  }

  // one chunk ahead at the most: what upstream does not take waits with the client
  const body = Readable.from(watched(), { objectMode: false, highWaterMark: 1 });
  return {
    body,
    signal: options.signal === undefined ? late.signal : AbortSignal.any([options.signal, late.signal]),
    answered() {
      answered = true;
      clearTimeout(clock);
    },
  };
}
