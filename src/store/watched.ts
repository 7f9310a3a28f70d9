import { BreakwaterError } from '../registry/errors.ts';

/** A body that arrives in chunks. */
export interface ChunkBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends the body early; its iteration ends or throws. */
  cancel(): void;
}

/**
 * The chunks of a body, with a watchdog that counts only while a chunk is waited for: a slow disk or a slow
 * client is no stall of upstream's.
 * @throws `UPSTREAM_TIMEOUT` after `stallTimeout` milliseconds without a byte.
 */
export async function* watched(body: ChunkBody, stallTimeout: number): AsyncGenerator<Uint8Array> {
  let stalled = false;
  let waiting = true;
  const watchdog = setTimeout(() => {
    if (waiting) {
      stalled = true;
      body.cancel();
    } else {
      watchdog.refresh();
    }
  }, stallTimeout);
  try {
    for await (const chunk of body.chunks) {
      waiting = false;
      yield chunk;
      waiting = true;
      watchdog.refresh();
    }
  } catch (error) {
    if (!stalled) throw error;
  } finally {
    clearTimeout(watchdog);
  }
  if (stalled) throw new BreakwaterError('UPSTREAM_TIMEOUT', `no byte from upstream for ${stallTimeout} ms`);
}
