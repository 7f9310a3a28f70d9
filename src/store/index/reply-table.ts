import type { DatabaseSync } from 'node:sqlite';
import { createReader } from './reader.ts';
import { createWriter, type OnFault } from './writer.ts';

/** A small answer of upstream's that is no object: a ping's, a tag list's, a list of referrers. */
export interface StoredReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
  /** Milliseconds since the epoch. */
  readonly storedAt: number;
}

export interface ReplyKey {
  readonly registry: string;
  readonly path: string;
  /** In whose name it was asked; what one is told is not for another. */
  readonly identity: string;
}

/** Keeps answers for when upstream cannot be asked. */
export interface ReplyTable {
  find(key: ReplyKey): StoredReply | undefined;
  put(key: ReplyKey, reply: StoredReply): void;
  delete(key: ReplyKey): void;
  /** Forgets all that was said of paths that begin with `prefix`. */
  deleteBelow(registry: string, prefix: string): void;
}

/** Rows that are kept; the oldest go first. */
const MAX_ROWS = 20_000;
const TRIM_EVERY = 500;

export function createReplyTable(database: DatabaseSync, onFault: OnFault): ReplyTable {
  const get = createReader(
    database.prepare(
      'SELECT status, headers, body, stored_at FROM replies WHERE registry = ? AND path = ? AND identity = ?',
    ),
    onFault,
  );
  const put = createWriter(
    database.prepare(
      'INSERT OR REPLACE INTO replies (registry, path, identity, status, headers, body, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    onFault,
  );
  const trim = createWriter(
    database.prepare(
      'DELETE FROM replies WHERE stored_at < (SELECT stored_at FROM replies ORDER BY stored_at DESC LIMIT 1 OFFSET ?)',
    ),
    onFault,
  );
  const removeOne = createWriter(
    database.prepare('DELETE FROM replies WHERE registry = ? AND path = ? AND identity = ?'),
    onFault,
  );
  const remove = createWriter(
    database.prepare('DELETE FROM replies WHERE registry = ? AND substr(path, 1, ?) = ?'),
    onFault,
  );
  let puts = 0;
  return {
    find({ registry, path, identity }) {
      const row = get(registry, path, identity);
      if (row === undefined) return undefined;
      const { body } = row;
      return {
        status: Number(row['status']),
        headers: parseHeaders(String(row['headers'])),
        body: body instanceof Uint8Array ? Buffer.from(body) : Buffer.alloc(0),
        storedAt: Number(row['stored_at']),
      };
    },
    put({ registry, path, identity }, { status, headers, body, storedAt }) {
      put(registry, path, identity, status, JSON.stringify(headers), body, storedAt);
      puts += 1;
      if (puts % TRIM_EVERY === 0) trim(MAX_ROWS);
    },
    delete: ({ registry, path, identity }) => removeOne(registry, path, identity),
    deleteBelow: (registry, prefix) => remove(registry, prefix.length, prefix),
  };
}

function parseHeaders(text: string): StoredReply['headers'] {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null) return {};
  return Object.fromEntries(
    Object.entries(parsed).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(String) : String(value),
    ]),
  );
}
