import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import type { FillSource } from '../store/fill.ts';
import type { ByteSource } from '../store/store.ts';
import { createDirectSource, type DirectSource } from './direct-source.ts';

export interface ClientSourceOptions {
  /** Where the bytes come from as long as all goes well. */
  readonly first: ByteSource;
  /** The object as upstream gives it to this client. */
  readonly upstream: FillSource;
  /** A stretch of the object as upstream gives it; undefined where it has no ranges. */
  readonly stretch: (start: number, end: number) => Promise<FillSource | undefined>;
  /** True where waiting for the fill to reach `position` would take long. */
  readonly isFarAhead: (position: number) => boolean;
  /** A new source for a client that has seen no byte; undefined where its size is another. */
  readonly again: () => Promise<ByteSource | undefined>;
  readonly stallTimeout: number;
}

/** What is fetched at a time for a client that reads far ahead of the fill. */
const STRETCH = 16 * 1024 * 1024;

/**
 * One client's view of an object: from the cache, and past its faults. A range far ahead of the fill comes
 * straight from upstream until the fill has caught up; a store that fails is left for upstream where it stood;
 * a fill that fails before the first byte is tried once more.
 */
export function createClientSource(options: ClientSourceOptions): ByteSource {
  let source = options.first;
  let direct: DirectSource | undefined;
  /** Where in the object the next byte of `direct` belongs. */
  let directAt = 0;
  /** Where a stretch ends and the fill is looked at again. */
  let directUntil = 0;
  let storeFailed = false;
  let hasRanges = true;
  let untouched = true;
  let wantedUntil = Infinity;

  function openDirect(upstream: FillSource, position: number, end: number | undefined): DirectSource {
    direct?.close();
    direct = createDirectSource(upstream, position, end, options.stallTimeout);
    directAt = position;
    directUntil = end ?? Infinity;
    return direct;
  }

  async function readDirect(from: DirectSource, buffer: Buffer): Promise<number> {
    const left = directUntil - directAt;
    const length = await from.read(left < buffer.length ? buffer.subarray(0, left) : buffer);
    if (length === 0 && source.size !== undefined && directAt < source.size) {
      throw new BreakwaterError('UPSTREAM_RESET', `upstream ended after ${directAt} bytes`);
    }
    directAt += length;
    untouched &&= length === 0;
    return length;
  }

  /** Past a store that failed; an answer of several ranges goes from one place to another. */
  function readPast(buffer: Buffer, position: number): Promise<number> {
    const going = position === directAt ? direct : undefined;
    return readDirect(going ?? openDirect(options.upstream, position, source.size), buffer);
  }

  /** From the stretch that is open, or a new one; a client for whom that fails waits for the fill. */
  async function readAhead(buffer: Buffer, position: number): Promise<number> {
    try {
      if (direct !== undefined && isInStretch(position)) return await readDirect(direct, buffer);
      const end = Math.min(position + STRETCH, wantedUntil, source.size ?? Infinity);
      const stretch = await options.stretch(position, end);
      if (stretch !== undefined) return await readDirect(openDirect(stretch, position, end), buffer);
    } catch {
      direct?.close();
      direct = undefined;
    }
    hasRanges = false;
    return readCached(buffer, position);
  }

  function isInStretch(position: number): boolean {
    return direct !== undefined && position === directAt && position < directUntil;
  }

  function isReadAhead(position: number): boolean {
    return isInStretch(position) || (hasRanges && source.growing && options.isFarAhead(position));
  }

  async function recover(thrown: unknown, buffer: Buffer, position: number): Promise<number> {
    const error = asBreakwaterError(thrown);
    if (error.code === 'STORE_UNAVAILABLE') {
      storeFailed = true;
      openDirect(options.upstream, position, source.size);
      return readPast(buffer, position);
    }
    if (!untouched || !error.retryable) throw error;
    untouched = false;
    const other = await options.again();
    if (other === undefined) throw error;
    source.close();
    source = other;
    return readCached(buffer, position);
  }

  function readCached(buffer: Buffer, position: number): number | Promise<number> {
    try {
      const reading = source.read(buffer, position);
      if (typeof reading !== 'number') {
        return reading.then(
          (length) => checked(length, buffer, position),
          (error: unknown) => recover(error, buffer, position),
        );
      }
      return checked(reading, buffer, position);
    } catch (error) {
      return recover(error, buffer, position);
    }
  }

  /** A stored object that ends too early is damaged. */
  function checked(length: number, buffer: Buffer, position: number): number | Promise<number> {
    if (length > 0 || source.size === undefined || position >= source.size) {
      untouched &&= length === 0;
      return length;
    }
    return recover(
      new BreakwaterError('STORE_UNAVAILABLE', 'the stored object is too short'),
      buffer,
      position,
    );
  }

  return {
    get size() {
      return source.size;
    },
    get growing() {
      return source.growing;
    },
    read(buffer, position) {
      if (storeFailed) return readPast(buffer, position);
      return isReadAhead(position) ? readAhead(buffer, position) : readCached(buffer, position);
    },
    arrival: (position) => (storeFailed || isReadAhead(position) ? undefined : source.arrival?.(position)),
    readUntil(end) {
      wantedUntil = end;
    },
    close() {
      direct?.close();
      source.close();
    },
  };
}
