import { DatabaseSync } from 'node:sqlite';
import { BreakwaterError } from '../../registry/errors.ts';

/** Marks an index that was closed in order; it is taken off as long as the index is open. */
const CLEAN = 1;
/** What makes an index of each version out of the one before. */
export const SCHEMA = [
  `
  CREATE TABLE objects (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    media_type TEXT,
    used_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX objects_by_use ON objects (used_at, size);
  CREATE TABLE links (
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    visibility TEXT NOT NULL,
    PRIMARY KEY (registry, repository, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE tags (
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    variant TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (registry, repository, tag, variant)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE replies (
    registry TEXT NOT NULL,
    path TEXT NOT NULL,
    identity TEXT NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (registry, path, identity)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX replies_by_age ON replies (stored_at);
`,
  `
  CREATE TABLE acceptances (
    identity TEXT NOT NULL,
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (identity, registry, repository)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX acceptances_by_age ON acceptances (accepted_at);
  -- what was told to clients lies under keys that could be guessed at
  DELETE FROM replies;
`,
];

export interface Index {
  readonly database: DatabaseSync;
  /** True where it was closed in order, so that it knows every file. */
  readonly clean: boolean;
  /** Takes note that a write may be missing: the files will be looked through at the next start. */
  doubt(): void;
  close(): void;
}

/**
 * Opens the index and locks it for this process: one keeper a cache folder, until it ends however it ends.
 * A torn write is rolled back by SQLite; a lost last moment is found again on the disk.
 * @throws `CACHE_UNUSABLE` where another process holds it, or it cannot be opened.
 */
export function openIndex(file: string): Index {
  let database: DatabaseSync | undefined;
  try {
    const opened = new DatabaseSync(file);
    database = opened;
    database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;',
    );
    // WAL with an exclusive lock takes it at the first write
    database.exec('BEGIN IMMEDIATE');
    const version = pragma(database, 'user_version');
    if (version > SCHEMA.length)
      throw new Error(`its version is ${version}, this program knows ${SCHEMA.length}`);
    for (const step of SCHEMA.slice(version)) database.exec(step);
    database.exec(`PRAGMA user_version = ${SCHEMA.length}`);
    database.exec('COMMIT');
    const clean = wasClosedInOrder(database);
    database.exec('PRAGMA application_id = 0');
    let whole = true;
    return { database, clean, doubt: () => void (whole = false), close: () => closeIndex(opened, whole) };
  } catch (cause) {
    database?.close();
    throw indexFailure(file, cause);
  }
}

/** Names why an index cannot be opened, and what to do about it. */
export function indexFailure(file: string, cause: unknown): BreakwaterError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const locked = reason.includes('locked');
  return new BreakwaterError(
    'CACHE_UNUSABLE',
    locked ? `another process uses the cache: ${file} is locked` : `${file}: ${reason}`,
    {
      cause,
      mend: locked
        ? 'Give each process a CACHE_DIR of its own.'
        : 'Remove the index; it is made again from the blobs.',
    },
  );
}

function closeIndex(database: DatabaseSync, whole: boolean): void {
  try {
    if (whole) database.exec(`PRAGMA application_id = ${CLEAN}`);
  } finally {
    database.close();
  }
}

/** @param schema where the index is attached, with a dot. */
export function wasClosedInOrder(database: DatabaseSync, schema: '' | 'kept.' = ''): boolean {
  return pragma(database, `${schema}application_id`) === CLEAN;
}

type Pragma = 'user_version' | 'application_id';

export function pragma(database: DatabaseSync, name: Pragma | `kept.${Pragma}`): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);
}
