import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import { isBroken, type FillBody, type FillSource } from '../store/fill.ts';
import { watched } from '../store/watched.ts';

/** Bytes on their way from upstream to one client alone; nothing of them is stored or held. */
export interface DirectSource {
  /** Gives the next bytes in order; 0 at the end. @throws where they will never come. */
  read(buffer: Buffer): Promise<number>;
  close(): void;
}

const MAX_FRUITLESS = 3;

/**
 * Reads an object from `start` on, going on where a body breaks.
 * @param size bytes of the whole object, where known: a body that ends before is broken.
 */
export function createDirectSource(
  source: FillSource,
  start: number,
  size: number | undefined,
  stallTimeout: number,
): DirectSource {
  let position = start;
  let body: FillBody | undefined;
  let chunks: AsyncGenerator<Uint8Array> | undefined;
  let rest: Uint8Array = new Uint8Array();
  let fruitless = 0;
  let closed = false;

  /** The next bytes, at most one chunk; empty at the end. */
  async function next(): Promise<Uint8Array> {
    for (;;) {
      try {
        if (chunks === undefined) {
          body = await source(position);
          chunks = watched(body, stallTimeout);
          // a source without ranges begins at 0: what was sent before is passed over
          for (let skip = position - body.start; skip > 0;) {
            const { value, done } = await chunks.next();
            if (done === true) break;
            if (value.length > skip) return value.subarray(skip);
            skip -= value.length;
          }
        }
        const { value, done } = await chunks.next();
        if (done !== true && value.length === 0) continue; // to a client, nothing would be the end
        if (done !== true) return value;
        if (size === undefined || position >= size) return new Uint8Array();
        throw new BreakwaterError('UPSTREAM_RESET', `upstream ended after ${position} of ${size} bytes`);
      } catch (thrown) {
        const error = asBreakwaterError(thrown);
        chunks = undefined;
        body?.cancel();
        fruitless += 1;
        // a client that has left wants no further try
        if (closed || !isBroken(error) || fruitless > MAX_FRUITLESS) throw error;
      }
    }
  }

  return {
    async read(buffer) {
      if (rest.length === 0) rest = await next();
      const taken = rest.subarray(0, buffer.length);
      buffer.set(taken);
      rest = rest.subarray(taken.length);
      position += taken.length;
      if (taken.length > 0) fruitless = 0;
      return taken.length;
    },
    close() {
      closed = true;
      body?.cancel();
      // it waits where it gave its last chunk, its watchdog with it
      chunks?.return(undefined).catch(() => undefined);
    },
  };
}
