import { LRUCache } from 'lru-cache';
import type { Digest } from '../registry/digest.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { OnFault } from '../store/index/writer.ts';
import type { PartialObject, Store } from '../store/store.ts';

/** The bytes of a push that upstream was given, and what becomes of them once it has accepted them. */
export interface Uploads {
  /** The repository an upload is for; its path need not say. */
  repositoryOf(upload: string): RepositoryName | undefined;
  begun(upload: string, repository: RepositoryName): void;
  /** Upstream has these bytes as a piece of an upload, which goes on as `next`. */
  grown(upload: string, next: string, bytes: PartialObject | undefined): void;
  /** Forgets an upload that was given up. */
  dropped(upload: string): void;
  /** The upload is over; gives its bytes, where it had them in one piece. */
  finished(upload: string): PartialObject | undefined;
  /** Keeps what upstream accepted as `digest`, unless it hashes to another one. */
  keep(bytes: PartialObject, digest: Digest, mediaType?: string): Promise<void>;
  /** Deletes what waits, and settles when nothing is being kept any more. */
  close(): Promise<void>;
}

const MAX_UPLOADS = 10_000;
/** How long a blob's bytes wait for the request that names it, in milliseconds, and how much of the cache they take. */
const WAIT_MS = 10 * 60_000;
const WAITING_SHARE = 0.25;

interface Waiting {
  readonly bytes: PartialObject;
  /** False once somebody else ends them. */
  ours: boolean;
}

/** @param maxSize bytes of the whole cache. */
export function createUploads(store: Store, maxSize: number, onFault: OnFault): Uploads {
  const repositories = new LRUCache<string, RepositoryName>({ max: MAX_UPLOADS });
  const ending = new Set<Promise<void>>();
  const waiting = new LRUCache<string, Waiting>({
    max: MAX_UPLOADS,
    maxSize: Math.max(1, Math.floor(maxSize * WAITING_SHARE)),
    sizeCalculation: ({ bytes }) => Math.max(1, bytes.length),
    ttl: WAIT_MS,
    ttlAutopurge: true,
    dispose({ bytes, ours }) {
      if (ours) discard(bytes);
    },
  });

  /** Runs to its end beside everything else; what goes wrong there fails no push. */
  function track(work: () => Promise<void>, doing: string): Promise<void> {
    const tracked = work()
      .catch((error: unknown) => onFault(error, doing))
      .finally(() => ending.delete(tracked));
    ending.add(tracked);
    return tracked;
  }

  function discard(bytes: PartialObject): void {
    void track(async () => {
      await bytes.discard();
      bytes.release();
    }, 'deleting a spooled push');
  }

  function taken(upload: string): PartialObject | undefined {
    const found = waiting.get(upload);
    if (found === undefined) return undefined;
    found.ours = false;
    waiting.delete(upload);
    return found.bytes;
  }

  async function publish(bytes: PartialObject, digest: Digest, mediaType: string | undefined): Promise<void> {
    try {
      const isWanted = bytes.verify() === digest && store.find(digest) === undefined;
      if (isWanted) await bytes.publish(mediaType);
      else await bytes.discard();
    } catch (thrown) {
      await bytes.discard();
      throw asBreakwaterError(thrown);
    } finally {
      bytes.release();
    }
    if (mediaType !== undefined) store.describe(digest, mediaType);
  }

  return {
    repositoryOf: (upload) => repositories.get(upload),
    begun: (upload, repository) => void repositories.set(upload, repository),
    grown(upload, next, bytes) {
      const before = taken(upload);
      if (before !== undefined) discard(before);
      if (bytes === undefined) return;
      // only a blob in one piece is kept: a second one makes the first useless, and is no whole either
      if (before !== undefined || bytes.length > waiting.maxSize) return discard(bytes);
      waiting.set(next, { bytes, ours: true });
    },
    dropped(upload) {
      repositories.delete(upload);
      waiting.delete(upload);
    },
    finished(upload) {
      repositories.delete(upload);
      return taken(upload);
    },
    keep: (bytes, digest, mediaType) =>
      track(() => publish(bytes, digest, mediaType), 'keeping what was pushed'),
    async close() {
      waiting.clear();
      await Promise.all(ending);
    },
  };
}
