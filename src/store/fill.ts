import { BreakwaterError } from '../registry/errors.ts';
import type { ByteSource, PartialObject, StoredObject } from './store.ts';

/** What a source gives once its headers are there. */
export interface FillBody {
  /** Where in the object the first chunk begins. */
  readonly start: number;
  /** Bytes of the whole object; undefined where the source did not say. */
  readonly size: number | undefined;
  readonly mediaType: string | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends the body early. */
  cancel(): void;
}

/** Opens the object's bytes at an offset; called again from where it stood when a body breaks. */
export type FillSource = (offset: number) => Promise<FillBody>;

export interface Fill {
  /** Settles with the size and media type when the source's headers are there; rejects where there are none. */
  readonly opened: Promise<{ readonly size: number | undefined; readonly mediaType: string | undefined }>;
  /** Settles when the object is verified and published, or can never be. */
  readonly done: Promise<StoredObject>;
  /** Bytes that can be read now. */
  readonly length: number;
  /** A new reader at an offset of its own; only after `opened`. */
  reader(): ByteSource;
}

export interface FillOptions {
  readonly source: FillSource;
  readonly begin: (size: number | undefined) => Promise<PartialObject>;
  /** Milliseconds without a byte from upstream before it counts as broken. */
  readonly stallTimeout: number;
}

/** Breaks in a row without a byte of progress before a fill is given up. */
const MAX_FRUITLESS = 3;
const RETRY_PAUSE_MS = 100;

/**
 * An object that grows while everybody reads it; it belongs to no client and goes on without any.
 */
export function startFill(options: FillOptions): Fill {
  let partial: PartialObject | undefined;
  let size: number | undefined;
  let failure: unknown;
  let ended = false;
  let readers = 0;
  let waiting: (() => void)[] = [];

  const first = options.source(0);
  const opened = first.then((body) => {
    size = body.size;
    return { size: body.size, mediaType: body.mediaType };
  });
  const done = run();
  // those who wait for either are told; an unattended fill fails without a witness
  opened.catch(() => undefined);
  done.catch(() => undefined);

  async function run(): Promise<StoredObject> {
    try {
      let body = await first;
      partial = await options.begin(body.size);
      const { mediaType } = body;
      for (let fruitless = 0; ;) {
        const before = partial.length;
        try {
          await append(body, partial);
          break;
        } catch (error) {
          fruitless = partial.length > before ? 0 : fruitless + 1;
          if (fruitless >= MAX_FRUITLESS || !isBroken(error)) throw error;
          body = await reopen(partial.length, fruitless);
        }
      }
      return await partial.publish(mediaType);
    } catch (error) {
      failure = error;
      await partial?.discard().catch(() => undefined); // publish may have deleted it already
      throw error;
    } finally {
      ended = true;
      wake();
      release();
    }
  }

  async function reopen(offset: number, fruitless: number): Promise<FillBody> {
    await new Promise((resolve) => void setTimeout(resolve, RETRY_PAUSE_MS * fruitless));
    const body = await options.source(offset);
    if (size !== undefined && body.size !== undefined && body.size !== size) {
      body.cancel();
      throw new BreakwaterError(
        'SIZE_MISMATCH',
        `upstream resumed with ${body.size} bytes instead of ${size}`,
      );
    }
    return body;
  }

  async function append(body: FillBody, into: PartialObject): Promise<void> {
    let skip = into.length - body.start;
    for await (const chunk of watched(body, options.stallTimeout)) {
      const fresh = skip > 0 ? chunk.subarray(skip) : chunk;
      skip = Math.max(0, skip - chunk.length);
      if (fresh.length === 0) continue;
      if (size !== undefined && into.length + fresh.length > size) {
        body.cancel();
        throw new BreakwaterError('SIZE_MISMATCH', `upstream sent more than the ${size} bytes it announced`);
      }
      await into.append(fresh);
      wake();
    }
    if (size !== undefined && into.length < size) {
      throw new BreakwaterError('UPSTREAM_RESET', `upstream ended after ${into.length} of ${size} bytes`);
    }
  }

  function wake(): void {
    const woken = waiting;
    waiting = [];
    for (const resume of woken) resume();
  }

  function release(): void {
    if (ended && readers === 0) partial?.release();
  }

  return {
    opened,
    done,
    get length() {
      return partial?.length ?? 0;
    },
    reader() {
      readers += 1;
      let closed = false;
      const read = (buffer: Buffer, position: number): number | Promise<number> => {
        if (partial !== undefined && position < partial.length) return partial.read(buffer, position);
        if (failure !== undefined) return Promise.reject(asError(failure));
        if (ended) return 0;
        return new Promise<void>((resolve) => void waiting.push(resolve)).then(() => read(buffer, position));
      };
      return {
        get size() {
          return ended && failure === undefined ? partial?.length : size;
        },
        get growing() {
          return !ended;
        },
        read,
        close() {
          if (closed) return;
          closed = true;
          readers -= 1;
          release();
        },
      };
    },
  };
}

/** Only a break on the way is worth another try: what the bytes themselves say is final. */
function isBroken(error: unknown): boolean {
  return (
    error instanceof BreakwaterError &&
    error.retryable &&
    error.source === 'upstream' &&
    error.code !== 'SIZE_MISMATCH'
  );
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The chunks of a body, with a watchdog that counts only while a chunk is waited for. */
async function* watched(body: FillBody, stallTimeout: number): AsyncGenerator<Uint8Array> {
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
