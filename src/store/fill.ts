import { asBreakwaterError, BreakwaterError, type ErrorCode } from '../registry/errors.ts';
import type { ByteSource, PartialObject, StoredObject } from './store.ts';
import { watched, type ChunkBody } from './watched.ts';

/** What a source gives once its headers are there. */
export interface FillBody extends ChunkBody {
  /** Where in the object the first chunk begins. */
  readonly start: number;
  /** Bytes of the whole object; undefined where the source did not say. */
  readonly size: number | undefined;
  readonly mediaType: string | undefined;
}

/** Opens the object's bytes at an offset, or before it; called again from where it stood when a body breaks. */
export type FillSource = (offset: number) => Promise<FillBody>;

/** An object that grows while everybody reads it; it belongs to no client and goes on without any. */
export interface Fill {
  /** Settles with the size and media type when the source's headers are there; rejects where there are none. */
  readonly opened: Promise<{ readonly size: number | undefined; readonly mediaType: string | undefined }>;
  /** Settles when the object is verified and published, or can never be. */
  readonly done: Promise<StoredObject>;
  /** Bytes that can be read now; the last ones only once the whole was verified. */
  readonly length: number;
  /** Bytes that arrive in a second, as far as it went. */
  readonly rate: number;
  /** A new reader at an offset of its own; only after `opened`. */
  reader(): ByteSource;
}

export interface FillOptions {
  readonly source: FillSource;
  readonly begin: () => Promise<PartialObject>;
  /** Bytes that `begin` will find there already. */
  readonly kept: number;
  /** Milliseconds without a byte from upstream before it counts as broken. */
  readonly stallTimeout: number;
  /** What happens when the last reader leaves: the fill is finished, or kept to be gone on with. */
  readonly abandoned: 'finish' | 'keep';
}

/** Breaks in a row without a byte of progress before a fill is given up, and the pause before each next try. */
const PAUSES_MS = [0, 100, 400, 1_600] as const;

/** Failures after which the bytes that came are of no use, or in the way. */
const FINAL: ReadonlySet<ErrorCode> = new Set([
  'DIGEST_MISMATCH',
  'SIZE_MISMATCH',
  'STORE_UNAVAILABLE',
  'INTERNAL',
]);

export function startFill(options: FillOptions): Fill {
  const begunAt = performance.now();
  let partial: PartialObject | undefined;
  let body: FillBody | undefined;
  let size: number | undefined;
  let announced = 0;
  let failure: BreakwaterError | undefined;
  /** Every byte is there and was verified, whether or not it could be stored. */
  let whole = false;
  let ended = false;
  let released = false;
  /** Nobody reads any more, and nobody wants it finished. */
  let left = false;
  /** The body that was cancelled for that; it may end as if it were complete. */
  let dropped: FillBody | undefined;
  let readers = 0;
  let waiting: (() => void)[] = [];

  const first = options.source(options.kept);
  const opened = first.then((given) => {
    ({ size } = given);
    return { size: given.size, mediaType: given.mediaType };
  });
  const done = run();
  // those who wait for either are told; an unattended fill fails without a witness
  opened.catch(() => undefined);
  done.catch(() => undefined);

  async function run(): Promise<StoredObject> {
    const beginning = options.begin();
    beginning.catch(() => undefined); // a disk that fails before upstream answers is heard of when it has
    try {
      body = await first;
      partial = await beginning;
      await transfer(body, partial);
      partial.verify();
      whole = true;
      announce(partial.length);
      wake();
      return await partial.publish(body.mediaType);
    } catch (thrown) {
      failure = asBreakwaterError(thrown);
      body?.cancel();
      partial ??= await beginning.catch(() => undefined); // then there is nothing to end
      if (partial !== undefined) await end(partial, failure);
      throw failure;
    } finally {
      ended = true;
      wake();
      release();
    }
  }

  /** A broken way does not make the bytes wrong; what came can be gone on from. */
  function end(begun: PartialObject, { code }: BreakwaterError): Promise<void> {
    return begun.length === 0 || FINAL.has(code) ? begun.discard() : begun.keep();
  }

  /** Brings the whole of the object into the partial one, however often the way breaks. */
  async function transfer(given: FillBody, into: PartialObject): Promise<void> {
    if (size !== undefined) await into.reserve(size);
    // what was kept may be all there is, and is not verified
    announce(Math.min(into.length, size ?? Infinity) - 1);
    let current: FillBody | undefined = given;
    for (let fruitless = 0; ;) {
      const before = into.length;
      try {
        current ??= await reopen(before);
        return await append(current, into);
      } catch (thrown) {
        const error = asBreakwaterError(thrown);
        current?.cancel();
        current = undefined;
        if (!isBroken(error)) throw error;
        if (into.length === size) return; // nothing was missing but a proper end
        fruitless = into.length > before ? 1 : fruitless + 1;
        const pause = PAUSES_MS[fruitless];
        if (left || pause === undefined) throw error;
        await new Promise((resolve) => void setTimeout(resolve, pause));
      }
    }
  }

  function drop(): void {
    dropped = body;
    body?.cancel();
  }

  async function reopen(offset: number): Promise<FillBody> {
    const given = await options.source(offset);
    body = given;
    if (left) drop();
    if (size === undefined || given.size === undefined || given.size === size) return given;
    given.cancel();
    throw new BreakwaterError(
      'SIZE_MISMATCH',
      `upstream went on with ${given.size} bytes instead of ${size}`,
    );
  }

  async function append(from: FillBody, into: PartialObject): Promise<void> {
    let skip = into.length - from.start;
    if (skip < 0) {
      throw new BreakwaterError('UPSTREAM_RESET', `upstream began at ${from.start}, after ${into.length}`);
    }
    for await (const chunk of watched(from, options.stallTimeout)) {
      const fresh = skip > 0 ? chunk.subarray(skip) : chunk;
      skip = Math.max(0, skip - chunk.length);
      if (fresh.length === 0) continue;
      if (size !== undefined && into.length + fresh.length > size) {
        throw new BreakwaterError('SIZE_MISMATCH', `upstream sent more than the ${size} bytes it announced`);
      }
      // without a size any chunk may be the last, and the last is shown only when all is verified
      if (size === undefined) announce(into.length);
      await into.append(fresh);
      if (size !== undefined && into.length < size) announce(into.length);
    }
    if (from === dropped) throw new BreakwaterError('UPSTREAM_RESET', 'the fill was left by its last client');
    if (size !== undefined && into.length < size) {
      throw new BreakwaterError('UPSTREAM_RESET', `upstream ended after ${into.length} of ${size} bytes`);
    }
  }

  function announce(length: number): void {
    if (length <= announced) return;
    announced = length;
    wake();
  }

  function wake(): void {
    const woken = waiting;
    waiting = [];
    for (const resume of woken) resume();
  }

  function release(): void {
    if (!ended || readers > 0 || released) return;
    released = true;
    partial?.release();
  }

  function read(buffer: Buffer, position: number): number | Promise<number> {
    if (partial !== undefined && position < announced) {
      if (released) throw new BreakwaterError('STORE_UNAVAILABLE', 'the fill is over and its file closed');
      return partial.read(
        buffer.length > announced - position ? buffer.subarray(0, announced - position) : buffer,
        position,
      );
    }
    if (whole) return 0;
    // not before the end: who is told begins another fill, and must not find this one
    if (ended && failure !== undefined) return Promise.reject(failure);
    return arrival().then(() => read(buffer, position));
  }

  function arrival(): Promise<void> {
    return new Promise((resolve) => void waiting.push(resolve));
  }

  return {
    opened,
    done,
    get length() {
      return announced;
    },
    get rate() {
      return ((announced - options.kept) * 1000) / Math.max(1, performance.now() - begunAt);
    },
    reader() {
      readers += 1;
      left = false;
      let closed = false;
      return {
        get size() {
          return whole ? announced : size;
        },
        get growing() {
          return !ended;
        },
        read,
        arrival: (position) => (position < announced || whole || ended ? undefined : arrival()),
        close() {
          if (closed) return;
          closed = true;
          readers -= 1;
          if (readers === 0 && !ended && options.abandoned === 'keep') {
            left = true;
            drop();
          }
          release();
        },
      };
    },
  };
}

/** Only a break on the way is worth another try: what the bytes themselves say is final. */
export function isBroken(error: BreakwaterError): boolean {
  return error.retryable && error.source === 'upstream' && !FINAL.has(error.code);
}
