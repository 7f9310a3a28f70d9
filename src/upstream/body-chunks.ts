import type { Readable } from 'node:stream';
import { upstreamFailure } from './failure.ts';

/** Bytes that may wait to be taken before upstream is paused. */
const MAX_WAITING = 1024 * 1024;

/**
 * The chunks of a body in their order. What came before a break is given before the break is told: a stream that
 * is iterated drops what it holds, and an upstream that breaks often would never be done. The body flows from now
 * on, a little ahead of who takes it.
 * @throws `UPSTREAM_*` where the body breaks.
 */
export function bodyChunks(body: Readable, host: string): AsyncIterable<Uint8Array> {
  const waiting: Uint8Array[] = [];
  let bytes = 0;
  let over = false;
  let failure: unknown = body.errored ?? (body.destroyed ? new Error('the body was closed') : undefined);
  let wake: (() => void) | undefined;
  body.on('data', (chunk: Uint8Array) => {
    waiting.push(chunk);
    bytes += chunk.length;
    if (bytes >= MAX_WAITING) body.pause();
    wake?.();
  });
  body.once('end', () => {
    over = true;
    wake?.();
  });
  body.once('error', (error) => {
    failure = error;
    wake?.();
  });
  body.once('close', () => {
    if (!over) failure ??= new Error('the body was closed before its end');
    wake?.();
  });
  async function* taken(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = waiting.shift();
        if (chunk !== undefined) {
          bytes -= chunk.length;
          yield chunk;
        } else if (over) {
          return;
        } else if (failure !== undefined) {
          throw upstreamFailure(failure, host);
        } else {
          body.resume();
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      body.destroy();
    }
  }
  return taken();
}
