import type { Digest } from '../registry/digest.ts';
import type { RepositoryName } from '../registry/name.ts';
import { formatRoute } from '../registry/route.ts';
import type { Fills } from '../store/fills.ts';
import type { Store } from '../store/store.ts';
import { mayHave, type Access } from './access.ts';
import type { Exchange } from './exchange.ts';
import type { Objects } from './object.ts';
import type { PassThrough } from './pass-through.ts';
import { sendObjectHead, type SendObject } from './send-object.ts';

export type PullBlob = (exchange: Exchange, repository: RepositoryName, digest: Digest) => Promise<void>;

/** Without a better one, the type of a layer on this path (distribution-spec, "Pulling blobs"). */
const BLOB_TYPE = 'application/octet-stream';

/** Serves a blob by its digest. */
export function createPullBlob(
  store: Store,
  fills: Fills,
  access: Access,
  objects: Objects,
  send: SendObject,
  passThrough: PassThrough,
): PullBlob {
  async function head(
    exchange: Exchange,
    repository: RepositoryName,
    digest: Digest,
    path: string,
  ): Promise<void> {
    if (await mayHave(access, exchange, repository, digest, path)) {
      const stored = store.find(digest);
      // a fill's first answer tells as much as a question of its own would
      const known = stored ?? (await fills.find(digest)?.fill.opened.catch(() => undefined));
      if (known?.size !== undefined) {
        exchange.outcome.cacheStatus = stored === undefined ? 'MISS' : 'HIT';
        const { size, mediaType = BLOB_TYPE } = known;
        return sendObjectHead(exchange, { digest, size, mediaType });
      }
    }
    exchange.outcome.cacheStatus = 'MISS';
    await passThrough(exchange, (answer) => {
      if (answer.status === 200) access.record(exchange, repository, digest, answer.visibility);
    });
  }

  return async (exchange, repository, digest) => {
    exchange.outcome.cacheType = 'blob-by-digest';
    exchange.outcome.digest = digest;
    const path = formatRoute({ kind: 'blob', repository, digest });
    if (exchange.request.method === 'HEAD') return head(exchange, repository, digest, path);
    const { source, mediaType } = await objects.obtain(exchange, { repository, digest, kind: 'blob', path });
    await send(exchange, { digest, size: source.size, mediaType: mediaType ?? BLOB_TYPE }, source);
  };
}
