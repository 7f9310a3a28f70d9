import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import type { OnFault } from '../store/index/writer.ts';
import type { PartialObject, Store } from '../store/store.ts';
import type { RequestBody } from '../upstream/upstream.ts';
import { bytesOf, createClientBody, isWaitingClient, type ClientBody } from './client-body.ts';
import type { Exchange } from './exchange.ts';

/** What a client pushes, on its way to upstream. */
export interface PushBody extends RequestBody {
  /** Bytes in all, where they are known before the end. */
  readonly length: number | undefined;
  /** Gives away what is whole on the disk, if it is; who has it ends it. */
  take(): PartialObject | undefined;
  /** Deletes what was not taken, and lets go of the client. */
  close(): Promise<void>;
}

export interface PushBodyOptions {
  readonly store: Store;
  /** Whether bodies are received whole, on disk, before they go on. */
  readonly spooled: boolean;
  /** Milliseconds in which a client must send some of it. */
  readonly idleTimeout: number;
  readonly onFault: OnFault;
}

/** Bytes that go upstream at a time from the disk. */
const PIECE = 128 * 1024;

/**
 * Takes a body in. A client that waits for leave to send is let go when upstream wants the bytes, so its body
 * is not spooled; nor is what the cache has no room for.
 * @throws `REQUEST_TIMEOUT` or `REQUEST_CUT`, where it is spooled.
 */
export async function receivePush(exchange: Exchange, options: PushBodyOptions): Promise<PushBody> {
  const { request } = exchange;
  const source = createClientBody(exchange, options.idleTimeout);
  const announced = request.headers['content-length'];
  const length = announced === undefined ? undefined : Number(announced);
  const partial =
    options.spooled && !isWaitingClient(request) ? await beginSpool(options, length) : undefined;
  if (partial === undefined) return streamed(source, length);
  try {
    const rest = await fillSpool(source, partial, options.onFault);
    return rest === undefined ? whole(source, partial) : streamed(source, length, { partial, rest });
  } catch (thrown) {
    source.release();
    await end(partial);
    throw thrown;
  }
}

/** Undefined where the cache cannot take it. */
async function beginSpool(
  { store, onFault }: PushBodyOptions,
  length: number | undefined,
): Promise<PartialObject | undefined> {
  let partial: PartialObject | undefined;
  try {
    partial = await store.begin(undefined);
    if (length !== undefined) await partial.reserve(length);
    return partial;
  } catch (thrown) {
    tell(thrown, onFault);
    if (partial !== undefined) await end(partial);
    return undefined;
  }
}

/** Receives all of it; or gives the first chunk that found no room. */
async function fillSpool(
  source: ClientBody,
  partial: PartialObject,
  onFault: OnFault,
): Promise<Buffer | undefined> {
  for await (const chunk of bytesOf(source)) {
    try {
      await partial.append(chunk);
    } catch (thrown) {
      tell(thrown, onFault);
      return chunk;
    }
  }
  return undefined;
}

/** A body that is too large for the cache is no fault of the disk. */
function tell(thrown: unknown, onFault: OnFault): void {
  if (asBreakwaterError(thrown).cause !== undefined) onFault(thrown, 'spooling a push');
}

async function end(partial: PartialObject): Promise<void> {
  await partial.discard();
  partial.release();
}

function whole(source: ClientBody, partial: PartialObject): PushBody {
  let kept: PartialObject | undefined = partial;
  const take = (): PartialObject | undefined => {
    const taken = kept;
    kept = undefined;
    return taken;
  };
  return {
    length: partial.length,
    replayable: true,
    open: () => readSpool(partial, () => kept !== undefined),
    take,
    async close() {
      source.release();
      const left = take();
      if (left !== undefined) await end(left);
    },
  };
}

function streamed(
  source: ClientBody,
  length: number | undefined,
  begun?: { readonly partial: PartialObject; readonly rest: Buffer },
): PushBody {
  let closed = false;
  async function* bytes(): AsyncGenerator<Buffer> {
    if (begun !== undefined) {
      yield* readSpool(begun.partial, () => !closed);
      yield begun.rest;
    }
    yield* bytesOf(source);
  }
  return {
    length,
    replayable: false,
    open: bytes,
    take: () => undefined,
    async close() {
      closed = true;
      source.release();
      if (begun !== undefined) await end(begun.partial);
    },
  };
}

/** @param isOpen false once the file may be closed: its number may be another file's by then. */
async function* readSpool(partial: PartialObject, isOpen: () => boolean): AsyncGenerator<Buffer> {
  for (let position = 0; position < partial.length;) {
    if (!isOpen()) throw new BreakwaterError('REQUEST_CUT', 'the request was answered before it was sent');
    // new each time: the last one may still be on its way to the kernel
    const piece = Buffer.allocUnsafe(Math.min(PIECE, partial.length - position));
    const length = partial.read(piece, position);
    position += length;
    yield piece.subarray(0, length);
  }
}
