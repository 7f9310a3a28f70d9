import { digestOf, type Digest } from '../registry/digest.ts';
import { BreakwaterError } from '../registry/errors.ts';
import type { FillBody, FillSource } from './fill.ts';
import type { PartialObject } from './store.ts';

/** A partial object in memory, and what a test must know of it. */
export interface MemoryPartial extends PartialObject {
  readonly bytes: Buffer;
  /** How it was ended, in order. */
  readonly ends: readonly ('publish' | 'keep' | 'discard')[];
  readonly released: number;
  /** What throws from now on. */
  failing: 'reserve' | 'append' | 'read' | 'publish' | undefined;
}

export const DISK_FAULT = new BreakwaterError('STORE_UNAVAILABLE', 'the disk is full', {
  cause: new Error('ENOSPC'),
});

export function createMemoryPartial(
  expected: Digest | undefined,
  initial: Buffer = Buffer.alloc(0),
): MemoryPartial {
  let bytes: Buffer = initial;
  let released = 0;
  const ends: MemoryPartial['ends'][number][] = [];
  const failIf = (what: MemoryPartial['failing']): void => {
    if (released > 0) throw new Error(`${what} after the release`);
    if (partial.failing === what) throw DISK_FAULT;
  };
  const verify = (): Digest => {
    const digest = digestOf(bytes);
    if (expected !== undefined && digest !== expected) {
      throw new BreakwaterError('DIGEST_MISMATCH', `received ${digest}`);
    }
    return digest;
  };
  const partial: MemoryPartial = {
    failing: undefined,
    ends,
    get bytes() {
      return bytes;
    },
    get released() {
      return released;
    },
    get length() {
      return bytes.length;
    },
    async reserve() {
      failIf('reserve');
    },
    async append(chunk) {
      failIf('append');
      bytes = Buffer.concat([bytes, chunk]);
    },
    read(buffer, position) {
      failIf('read');
      return bytes.copy(buffer, 0, position, position + buffer.length);
    },
    verify,
    async publish(mediaType) {
      failIf('publish');
      verify();
      ends.push('publish');
      return { digest: digestOf(bytes), size: bytes.length, mediaType };
    },
    async keep() {
      ends.push('keep');
    },
    async discard() {
      ends.push('discard');
    },
    release() {
      released += 1;
    },
  };
  return partial;
}

/** A body that a test feeds. */
export interface FedBody extends FillBody {
  readonly cancelled: boolean;
  push(chunk: Uint8Array): void;
  end(): void;
  fail(error: Error): void;
}

export interface FedBodyOptions {
  readonly start?: number;
  readonly size?: number | undefined;
  /** Some streams throw when they are cancelled, some just end. */
  readonly endsQuietly?: boolean;
}

export function createFedBody({ start = 0, size, endsQuietly = false }: FedBodyOptions = {}): FedBody {
  const queue: Uint8Array[] = [];
  let over: { readonly error: Error | undefined } | undefined;
  let cancelled = false;
  let news = Promise.withResolvers<void>();

  function tell(): void {
    news.resolve();
    news = Promise.withResolvers();
  }
  function finish(error: Error | undefined): void {
    over ??= { error };
    tell();
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = cancelled ? undefined : queue.shift();
      if (chunk !== undefined) yield chunk;
      else if (over === undefined) await news.promise;
      else if (over.error === undefined) return;
      else throw over.error;
    }
  }
  return {
    start,
    size,
    mediaType: undefined,
    chunks: chunks(),
    get cancelled() {
      return cancelled;
    },
    push(chunk) {
      queue.push(chunk);
      tell();
    },
    end: () => finish(undefined),
    fail: finish,
    cancel() {
      cancelled = true;
      finish(endsQuietly ? undefined : new BreakwaterError('UPSTREAM_RESET', 'cancelled'));
    },
  };
}

/** An upstream whose every answer a test gives. */
export interface FedSource {
  readonly source: FillSource;
  /** Requests that wait for their answer, the oldest first. */
  readonly asked: readonly { readonly offset: number }[];
  /** Bodies that were given, the newest last. */
  readonly bodies: readonly FedBody[];
  answer(options?: FedBodyOptions): FedBody;
  refuse(error: Error): void;
}

export function createFedSource(): FedSource {
  const asked: (PromiseWithResolvers<FillBody> & { readonly offset: number })[] = [];
  const bodies: FedBody[] = [];
  const next = (): PromiseWithResolvers<FillBody> => {
    const request = asked.shift();
    if (request === undefined) throw new Error('nobody asked');
    return request;
  };
  return {
    asked,
    bodies,
    source(offset) {
      const request = { offset, ...Promise.withResolvers<FillBody>() };
      asked.push(request);
      return request.promise;
    },
    answer(options) {
      const body = createFedBody(options);
      bodies.push(body);
      next().resolve(body);
      return body;
    },
    refuse: (error) => next().reject(error),
  };
}

export function reset(message = 'cut'): BreakwaterError {
  return new BreakwaterError('UPSTREAM_RESET', message);
}
