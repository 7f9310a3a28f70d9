import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync, statSync, unlink } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { digestAlgorithm, type Digest } from '../../registry/digest.ts';
import type { EvictionPolicy } from '../eviction.ts';
import type { ObjectTable } from '../index/object-table.ts';
import type { Store, StoredObject } from '../store.ts';
import type { Layout } from './layout.ts';
import { openObject, type OpenObject } from './open-object.ts';
import { createPartialFile } from './partial-file.ts';
import { createWarmth } from './warmth.ts';

const unlinkFile = promisify(unlink);

/** The times of last use are written to the index together, this often. */
const USED_FLUSH_MS = 5_000;
/** Without a figure from the system, this much is taken to stay in the page cache. */
const PAGE_CACHE_SHARE = 0.25;

export interface DiskStoreOptions {
  readonly layout: Layout;
  readonly objects: ObjectTable;
  readonly eviction: EvictionPolicy;
  /** Bytes that the objects may take together. */
  readonly maxSize: number;
  readonly now: () => number;
  /** Told of what failed where no request is there to be told. */
  readonly onFault: (error: unknown, doing: string) => void;
}

interface Opened {
  readonly file: Promise<OpenObject>;
  readers: number;
}

/** Objects as files named by their digest, in the layout of an OCI image. */
export function createDiskStore(options: DiskStoreOptions): Store {
  const { layout, objects, eviction, now, onFault } = options;
  const warmth = createWarmth(process.availableMemory() * PAGE_CACHE_SHARE);
  const opened = new Map<Digest, Opened>();
  const used = new Map<Digest, number>();
  let reserved = 0;

  for (const name of readdirSync(layout.partials)) rmSync(join(layout.partials, name));
  for (const row of objects.all()) eviction.admit(row.digest, row.size);

  const flushing = setInterval(flush, USED_FLUSH_MS);
  flushing.unref();

  function flush(): void {
    if (used.size === 0) return;
    objects.used(used);
    used.clear();
  }

  function find(digest: Digest): StoredObject | undefined {
    const row = objects.get(digest) ?? adopt(digest);
    if (row === undefined) return undefined;
    eviction.access(digest);
    used.set(digest, now());
    return row;
  }

  /** Takes in a file whose row was lost with the last moment before a crash: its name says it was verified. */
  function adopt(digest: Digest): StoredObject | undefined {
    const stat = statSync(layout.blob(digest), { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile()) return undefined;
    const object: StoredObject = { digest, size: stat.size, mediaType: undefined };
    published(object);
    return object;
  }

  function published(object: StoredObject): void {
    objects.put({ ...object, usedAt: now() });
    eviction.admit(object.digest, object.size);
    warmth.moved(object.digest, 0, object.size);
    makeRoom();
  }

  function makeRoom(): void {
    while (eviction.totals().bytes + reserved > options.maxSize) {
      const victim = eviction.victim((digest) => opened.has(digest));
      if (victim === undefined) return;
      remove(victim).catch((error: unknown) => onFault(error, `evicting ${victim}`));
    }
  }

  async function remove(digest: Digest): Promise<void> {
    eviction.remove(digest);
    objects.delete(digest);
    used.delete(digest);
    warmth.cooled(digest);
    await unlinkFile(layout.blob(digest));
  }

  function letGo(digest: Digest, entry: Opened): void {
    entry.readers -= 1;
    if (entry.readers > 0) return;
    opened.delete(digest);
    entry.file.then(
      (file) => file.close(),
      () => undefined, // whoever opened it was told
    );
  }

  return {
    find,

    async open(digest) {
      const object = find(digest);
      if (object === undefined) return undefined;
      const entry = opened.get(digest) ?? {
        file: openObject(layout.blob(digest), object, warmth),
        readers: 0,
      };
      entry.readers += 1;
      opened.set(digest, entry);
      try {
        const file = await entry.file;
        let closed = false;
        return {
          size: object.size,
          growing: false,
          read: (buffer, position) => file.read(buffer, position),
          close() {
            if (!closed) letGo(digest, entry);
            closed = true;
          },
        };
      } catch (error) {
        letGo(digest, entry);
        if (!isMissing(error)) throw error;
        // somebody deleted the file under us: the index is mended and upstream is asked again
        eviction.remove(digest);
        objects.delete(digest);
        return undefined;
      }
    },

    async begin(expected, size) {
      const bytes = size ?? 0;
      reserved += bytes;
      makeRoom();
      let open = true;
      const unreserve = (): void => {
        if (open) reserved -= bytes;
        open = false;
      };
      try {
        const partial = await createPartialFile({
          path: join(layout.partials, randomUUID()),
          expected,
          target: (digest) => layout.blob(digest),
          folder: (digest) => layout.blobs(digestAlgorithm(digest)),
          published(object) {
            unreserve();
            published(object);
          },
        });
        return {
          ...partial,
          get length() {
            return partial.length;
          },
          release() {
            unreserve();
            partial.release();
          },
        };
      } catch (error) {
        unreserve();
        throw error;
      }
    },

    describe(digest, mediaType) {
      const row = objects.get(digest);
      if (row !== undefined && row.mediaType === undefined) objects.put({ ...row, mediaType });
    },

    remove,
    totals: () => eviction.totals(),

    async close() {
      clearInterval(flushing);
      flush();
      await Promise.all([...opened.values()].map(async ({ file }) => (await file).close()));
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
