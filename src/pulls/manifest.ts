import { asBreakwaterError } from '../registry/errors.ts';
import { accepts } from '../registry/media-type.ts';
import type { Digest } from '../registry/digest.ts';
import type { RepositoryName } from '../registry/name.ts';
import { formatRoute } from '../registry/route.ts';
import type { Store } from '../store/store.ts';
import { mayHave, type Access } from './access.ts';
import type { Exchange } from './exchange.ts';
import type { Objects, Obtained } from './object.ts';
import { mediaTypeOf } from './object-source.ts';
import type { PassThrough } from './pass-through.ts';
import { orGiveUp } from './patience.ts';
import { sendObjectHead, type SendObject } from './send-object.ts';

export type PullManifest = (exchange: Exchange, repository: RepositoryName, digest: Digest) => Promise<void>;

/** Serves a manifest by its digest, in the media type it was stored with; a client that wants another asks upstream. */
export function createPullManifest(
  store: Store,
  access: Access,
  objects: Objects,
  send: SendObject,
  passThrough: PassThrough,
): PullManifest {
  const pass = (exchange: Exchange, repository: RepositoryName, digest: Digest): Promise<void> =>
    passThrough(exchange, (answer) => {
      if (answer.status !== 200) return;
      access.record(exchange, repository, digest, answer.visibility);
      const type = mediaTypeOf(answer);
      if (type !== undefined) store.describe(digest, type);
    });

  return async (exchange, repository, digest) => {
    const { request, outcome } = exchange;
    outcome.digest = digest;
    const path = formatRoute({ kind: 'manifest', repository, reference: { kind: 'digest', digest } });
    if (request.method === 'HEAD') {
      const stored = store.find(digest);
      const type = stored?.mediaType;
      if (stored !== undefined && type !== undefined && accepts(request.headers.accept, type)) {
        if (await mayHave(access, exchange, repository, digest, path)) {
          outcome.cacheStatus ??= 'HIT';
          return sendObjectHead(exchange, { digest, size: stored.size, mediaType: type });
        }
      }
      outcome.cacheStatus ??= 'MISS';
      return pass(exchange, repository, digest);
    }
    const begun = await objects.obtain(exchange, { repository, digest, kind: 'manifest', path });
    const obtained = await whole(exchange, begun, store, digest);
    const type = obtained?.mediaType;
    if (obtained === undefined || type === undefined || !accepts(request.headers.accept, type)) {
      obtained?.source.close();
      outcome.cacheStatus = 'BYPASS';
      return pass(exchange, repository, digest);
    }
    await send(exchange, { digest, size: obtained.source.size, mediaType: type }, obtained.source);
  };
}

/**
 * A manifest is small and decides all that follows: it is sent when it is whole and verified, not before.
 * Undefined where the store could not keep it.
 */
async function whole(
  exchange: Exchange,
  obtained: Obtained,
  store: Store,
  digest: Digest,
): Promise<Obtained | undefined> {
  if (obtained.fill === undefined) return obtained;
  try {
    const { mediaType } = await orGiveUp(obtained.fill.fill.done, exchange);
    const source = await store.open(digest);
    return source === undefined ? undefined : { source, mediaType, fill: undefined };
  } catch (thrown) {
    if (asBreakwaterError(thrown).code === 'STORE_UNAVAILABLE') return undefined;
    throw thrown;
  } finally {
    obtained.source.close();
  }
}
