import { randomUUID } from 'node:crypto';
import { statSync, unlink } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Digest } from '../../registry/digest.ts';
import type { EvictionPolicy } from '../eviction.ts';
import type { ObjectTable } from '../index/object-table.ts';
import type { PartialObject, Store, StoredObject } from '../store.ts';
import { createLateAdmission } from '../late-admission.ts';
import { createSmallObjects } from '../small-objects.ts';
import { isMissing } from './fault.ts';
import { openKeptPartials } from './kept-partials.ts';
import type { Layout } from './layout.ts';
import { createOpenObjects } from './open-objects.ts';
import { openPartialFile } from './partial-file.ts';
import { reconcile } from './reconcile.ts';
import { createRoom, type Bounds } from './room.ts';
import { createWarmth } from './warmth.ts';

const unlinkFile = promisify(unlink);

/** The times of last use are written to the index together, this often. */
const USED_FLUSH_MS = 5_000;
/** This much of the free memory is taken to hold what was read or written last. */
const PAGE_CACHE_SHARE = 0.25;
/** Without a size from upstream, room is reserved in steps that double up to this many bytes. */
const STEP = 16 * 1024 * 1024;

export interface DiskStoreOptions {
  readonly layout: Layout;
  readonly objects: ObjectTable;
  readonly eviction: EvictionPolicy;
  /** They may change while the store is open. */
  readonly bounds: () => Bounds;
  /** Whether the index was closed in order, and so knows every file. */
  readonly clean: boolean;
  readonly now: () => number;
  /** Told of what failed where no request is there to be told. */
  readonly onFault: (error: unknown, doing: string) => void;
  /** Told of each object that makes room: its bytes, and milliseconds since anybody asked for it. */
  readonly onEvicted?: (bytes: number, unused: number) => void;
}

/** Objects as files named by their digest, in the layout of an OCI image. */
export function createDiskStore(options: DiskStoreOptions): Store {
  const { layout, objects, now, onFault } = options;
  const eviction = createLateAdmission(options.eviction, objects, onFault);
  const warmth = createWarmth(process.availableMemory() * PAGE_CACHE_SHARE);
  const opened = createOpenObjects(
    (digest) => layout.blob(digest),
    warmth,
    (digest, error) => {
      onFault(error, 'reading an object');
      void drop(digest);
    },
  );
  const kept = openKeptPartials(layout.partials, now, onFault);
  /** Objects whose files are being deleted: for all but the disk they are gone. */
  const leaving = new Map<Digest, Promise<void>>();
  const filling = new Set<Digest>();
  /** Those whose file has its name already and whose row comes in a moment. */
  const publishing = new Set<Digest>();
  /** Objects that are of no use, and whose files could not be deleted: they are not taken in again. */
  const lost = new Set<Digest>();
  const used = new Map<Digest, number>();
  const closing = new AbortController();
  const room = createRoom({
    signal: closing.signal,
    root: layout.root,
    eviction,
    bounds: options.bounds,
    isPinned: (digest) => opened.has(digest),
    evict,
    kept,
  });

  const flushing = setInterval(flush, USED_FLUSH_MS);
  flushing.unref();
  const small = createSmallObjects();
  const reconciled = eviction.complete
    .then(() =>
      options.clean
        ? undefined
        : reconcile(layout, (digest) => void (objects.get(digest) ?? adopt(digest)), closing.signal),
    )
    .then(() => room.trim())
    .catch((error: unknown) => onFault(error, 'looking for objects that the index does not know'));

  function flush(): void {
    if (used.size === 0) return;
    objects.used(used);
    used.clear();
  }

  function find(digest: Digest): StoredObject | undefined {
    const row = objects.get(digest) ?? adopt(digest);
    if (row !== undefined) used.set(digest, now());
    return row;
  }

  /** Takes in a file whose row was lost with the last moment before a crash: its name says it was verified. */
  function adopt(digest: Digest): StoredObject | undefined {
    if (leaving.has(digest) || publishing.has(digest) || lost.has(digest)) return undefined;
    try {
      const stat = statSync(layout.blob(digest), { throwIfNoEntry: false });
      if (stat === undefined || !stat.isFile()) return undefined;
      return admit({ digest, size: stat.size, mediaType: undefined });
    } catch (error) {
      onFault(error, 'looking for an object');
      return undefined;
    }
  }

  function admit(object: StoredObject): StoredObject {
    eviction.admit(object.digest, object.size); // before its row, by which it would take it for an old one
    objects.put({ ...object, usedAt: now() });
    return object;
  }

  function forget(digest: Digest): void {
    eviction.remove(digest);
    objects.delete(digest);
    used.delete(digest);
    warmth.cooled(digest);
    small.forget(digest);
  }

  function remove(digest: Digest): Promise<void> {
    forget(digest);
    const gone = leaving.get(digest) ?? deleteFile(digest).finally(() => void leaving.delete(digest));
    leaving.set(digest, gone);
    return gone;
  }

  async function deleteFile(digest: Digest): Promise<void> {
    try {
      await unlinkIfThere(layout.blob(digest));
    } catch (error) {
      lost.add(digest);
      throw error;
    }
  }

  async function drop(digest: Digest): Promise<void> {
    await remove(digest).catch((error: unknown) => onFault(error, 'deleting an object'));
  }

  function evict(digest: Digest): Promise<void> {
    const row = objects.get(digest);
    if (row !== undefined)
      options.onEvicted?.(row.size, Math.max(0, now() - (used.get(digest) ?? row.usedAt)));
    return drop(digest);
  }

  async function begin(expected: Digest | undefined): Promise<PartialObject> {
    // only one fill may write to the file that carries the digest's name
    const named = expected !== undefined && !filling.has(expected) ? expected : undefined;
    const path = named === undefined ? join(layout.partials, randomUUID()) : kept.path(named);
    if (named !== undefined) {
      filling.add(named);
      kept.take(named);
    }
    const reservation = room.reserve();
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      reservation.release();
      if (named !== undefined) filling.delete(named);
    };
    try {
      const file = await openPartialFile(path, expected);
      reservation.wrote(file.length);
      let reserved = 0;
      const reserve = async (size: number): Promise<void> => {
        await reservation.grow(size);
        reserved = size;
      };
      const discard = async (): Promise<void> => {
        await unlinkIfThere(path).catch((error: unknown) => onFault(error, 'deleting a partial object'));
        end();
      };
      return {
        get length() {
          return file.length;
        },
        reserve,
        async append(chunk) {
          const needed = file.length + chunk.length;
          if (needed > reserved) {
            const ample = needed + Math.min(needed, STEP);
            await reserve(Math.max(needed, Math.min(ample, options.bounds().maxSize)));
          }
          await file.append(chunk);
          reservation.wrote(file.length);
          if (named !== undefined) warmth.moved(named, file.length - chunk.length, file.length);
        },
        read: (buffer, position) => file.read(buffer, position),
        verify: () => file.verify(),
        async publish(mediaType) {
          const digest = file.verify();
          await leaving.get(digest)?.catch(() => undefined); // or it would take the new file with it
          publishing.add(digest);
          let object: StoredObject;
          try {
            await file.moveTo(layout.blob(digest));
            end();
            lost.delete(digest);
            object = admit({ digest, size: file.length, mediaType });
          } finally {
            publishing.delete(digest);
          }
          room.trim();
          return object;
        },
        async keep() {
          if (named === undefined) return discard();
          kept.keep(named, file.length);
          end();
        },
        discard,
        release: () => file.close(),
      };
    } catch (error) {
      end();
      throw error;
    }
  }

  return {
    find,
    begin,
    remove,
    kept: (digest) => (filling.has(digest) ? 0 : kept.length(digest)),
    dropKeptBefore: (time) => kept.dropBefore(time),
    async open(digest) {
      const object = find(digest);
      if (object === undefined) return undefined;
      eviction.access(digest);
      const inMemory = small.find(digest);
      if (inMemory !== undefined) return inMemory;
      try {
        const source = await opened.open(object);
        if (source !== undefined) return await small.takeIn(object, source);
        // somebody deleted the file under us: the index is mended and upstream is asked again
        forget(digest);
        return undefined;
      } catch (error) {
        onFault(error, 'opening an object');
        throw error;
      }
    },
    describe(digest, mediaType) {
      const row = objects.get(digest);
      if (row !== undefined && row.mediaType === undefined) objects.put({ ...row, mediaType });
    },
    totals: () => eviction.totals(),
    async close() {
      clearInterval(flushing);
      closing.abort();
      eviction.stop();
      await reconciled;
      flush();
    },
  };
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlinkFile(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
