import type { DatabaseSync } from 'node:sqlite';
import { LRUCache } from 'lru-cache';
import { isDigest, type Digest } from '../../registry/digest.ts';
import type { StoredObject } from '../store.ts';
import { createReader } from './reader.ts';
import { createWriter, type OnFault } from './writer.ts';

/** A row of the index: an object that is on the disk. */
interface ObjectRow extends StoredObject {
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

/** Which objects are stored, and when each was last asked for. */
export interface ObjectTable {
  get(digest: Digest): ObjectRow | undefined;
  put(row: ObjectRow): void;
  delete(digest: Digest): void;
  /** Records the last use of many objects in one transaction. */
  used(times: ReadonlyMap<Digest, number>): void;
  /** Up to `limit` objects that nobody asked for since `time`. */
  unusedSince(time: number, limit: number): readonly Digest[];
  totals(): { readonly objects: number; readonly bytes: number };
  /** Up to `limit` objects, the longest unused first, from behind a position on. @throws where it cannot be read. */
  after(position: ObjectPosition | undefined, limit: number): readonly ObjectPosition[];
}

/** Where an object is in the order of use. */
export interface ObjectPosition {
  /** As the row has it: whether it is one is for the reader to check. */
  readonly digest: string;
  readonly size: number;
  readonly usedAt: number;
}

/** Rows kept in memory beside the table: those of what is asked for now. */
const MAX_ROWS = 10_000;

export function createObjectTable(database: DatabaseSync, onFault: OnFault): ObjectTable {
  const get = createReader(
    database.prepare('SELECT digest, size, media_type, used_at FROM objects WHERE digest = ?'),
    onFault,
  );
  const put = createWriter(
    database.prepare(
      'INSERT OR REPLACE INTO objects (digest, size, media_type, used_at) VALUES (?, ?, ?, ?)',
    ),
    onFault,
  );
  const remove = createWriter(database.prepare('DELETE FROM objects WHERE digest = ?'), onFault);
  const used = database.prepare('UPDATE objects SET used_at = ? WHERE digest = ?');
  const unused = database.prepare('SELECT digest FROM objects WHERE used_at < ? ORDER BY used_at LIMIT ?');
  // read at every start: the index on `used_at` holds all of both, in this order
  const totals = database.prepare('SELECT count(*), total(size) FROM objects');
  const after = database.prepare(
    'SELECT digest, size, used_at FROM objects WHERE (used_at, size, digest) > (?, ?, ?) ORDER BY used_at, size, digest LIMIT ?',
  );
  totals.setReturnArrays(true);
  after.setReturnArrays(true);
  const rows = new LRUCache<Digest, ObjectRow>({ max: MAX_ROWS });
  return {
    get(digest) {
      const known = rows.get(digest);
      if (known !== undefined) return known;
      const row = toRow(get(digest));
      if (row !== undefined) rows.set(digest, row);
      return row;
    },
    put(row) {
      rows.set(row.digest, row);
      put(row.digest, row.size, row.mediaType ?? null, row.usedAt);
    },
    delete(digest) {
      rows.delete(digest);
      remove(digest);
    },
    used(times) {
      try {
        database.exec('BEGIN');
        for (const [digest, time] of times) used.run(time, digest);
        database.exec('COMMIT');
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK');
        onFault(error, 'writing the index');
      }
    },
    unusedSince(time, limit) {
      const rows = unused.all(time, limit).map((row) => String(row['digest']));
      return rows.filter((digest) => isDigest(digest));
    },
    totals() {
      const [count, bytes] = arrayOf(totals.get());
      return { objects: Number(count), bytes: Number(bytes) };
    },
    after(position, limit) {
      const { usedAt = Number.MIN_SAFE_INTEGER, size = 0, digest = '' } = position ?? {};
      return after.all(usedAt, size, digest, limit).map((row) => {
        const [found, length, time] = arrayOf(row);
        return { digest: String(found), size: Number(length), usedAt: Number(time) };
      });
    },
  };
}

function toRow(raw: Record<string, unknown> | undefined): ObjectRow | undefined {
  if (raw === undefined) return undefined;
  const digest = String(raw['digest']);
  if (!isDigest(digest)) return undefined;
  const mediaType = raw['media_type'];
  return {
    digest,
    size: Number(raw['size']),
    mediaType: typeof mediaType === 'string' ? mediaType : undefined,
    usedAt: Number(raw['used_at']),
  };
}

/** A row of a statement that gives arrays, which its type does not say. */
function arrayOf(row: unknown): readonly unknown[] {
  return Array.isArray(row) ? row : [];
}
