import type { ServerResponse } from 'node:http';
import type { ByteSource } from '../store/store.ts';
import type { Buffers } from './buffers.ts';
import type { Turns } from './turns.ts';

/**
 * Writes the bytes of `source` from `start` up to `end` (exclusive; Infinity for all there are) to a client,
 * as long as it is there; gives the number of bytes written.
 * The next read begins when the write before is with the kernel.
 * @param onSent told of each write as it goes: a client that leaves is done with before this function is.
 * @throws what the source throws, where the bytes will never come.
 */
export type Pump = (
  source: ByteSource,
  start: number,
  end: number,
  response: ServerResponse,
  onSent?: (length: number) => void,
) => Promise<number>;

/** @param sendTimeout milliseconds that one write may wait for the client (nginx `send_timeout`). */
export function createPump(buffers: Buffers, turns: Turns, sendTimeout: number): Pump {
  return async (source, start, end, response, onSent) => {
    const client = createClient(response, sendTimeout);
    const size = buffers.begin(end - start);
    let position = start;

    /** Reads and writes once; false at the end, or where the client is gone. */
    async function step(): Promise<boolean> {
      const buffer = buffers.borrow(size);
      // a client that leaves while its bytes are waited for: they may still come
      let mayCome = false;
      try {
        const wanted = end - position < buffer.length ? buffer.subarray(0, end - position) : buffer;
        const reading = source.read(wanted, position);
        const length = typeof reading === 'number' ? reading : await client.unlessGone(reading);
        mayCome = length === undefined;
        if (length === undefined || length === 0) return false;
        if (!(await client.write(length === buffer.length ? buffer : buffer.subarray(0, length))))
          return false;
        position += length;
        onSent?.(length);
        return true;
      } finally {
        if (!mayCome) buffers.giveBack(buffer);
      }
    }

    try {
      let going = true;
      while (going && position < end) {
        // a thousand clients that wait hold no buffer
        const arrival = source.arrival?.(position);
        if (arrival === undefined) {
          await turns.take(Math.min(end - position, size));
          going = await step();
        } else {
          going = (await client.unlessGone(arrival.then(() => true))) ?? false;
        }
      }
      return position - start;
    } finally {
      client.done();
      buffers.end(size);
    }
  };
}

interface Client {
  /** What `reading` gives, or undefined where the client leaves before. */
  unlessGone<T>(reading: Promise<T>): Promise<T | undefined>;
  /** Settles when the bytes are with the kernel: true, or false where the client is gone. */
  write(bytes: Buffer): Promise<boolean>;
  done(): void;
}

function createClient(response: ServerResponse, sendTimeout: number): Client {
  let settle: ((written: boolean) => void) | undefined;
  let gone = response.destroyed;
  // one at a time, and not a promise raced against again and again: that would keep every race until the end
  let leave: (() => void) | undefined;
  const finish = (written: boolean): void => {
    const waiting = settle;
    settle = undefined;
    waiting?.(written);
  };
  const onClose = (): void => {
    gone = true;
    leave?.();
    finish(false);
  };
  const onWritten = (error: Error | null | undefined): void => finish(error === null || error === undefined);
  const watchdog = setTimeout(() => {
    if (settle === undefined) watchdog.refresh();
    else response.destroy();
  }, sendTimeout);
  response.on('close', onClose);
  return {
    unlessGone(reading) {
      if (gone) return Promise.resolve(undefined);
      return new Promise((resolve, reject) => {
        leave = () => resolve(undefined);
        reading.then(resolve, reject);
      });
    },
    write(bytes) {
      if (gone) return Promise.resolve(false);
      watchdog.refresh();
      return new Promise((resolve) => {
        settle = resolve;
        response.write(bytes, onWritten);
      });
    },
    done() {
      clearTimeout(watchdog);
      response.off('close', onClose);
    },
  };
}
