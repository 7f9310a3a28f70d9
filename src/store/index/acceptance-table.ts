import type { DatabaseSync } from 'node:sqlite';
import type { RepositoryName } from '../../registry/name.ts';
import { createReader } from './reader.ts';
import { createWriter, type OnFault } from './writer.ts';

/** When upstream last accepted whose own credentials for which repository; identities are sealed. */
export interface AcceptanceTable {
  /** Milliseconds since the epoch. */
  find(identity: string, registry: string, repository: RepositoryName): number | undefined;
  put(identity: string, registry: string, repository: RepositoryName, acceptedAt: number): void;
  delete(identity: string, registry: string, repository: RepositoryName): void;
}

/** Rows that are kept; the oldest go first. */
const MAX_ROWS = 100_000;
const TRIM_EVERY = 500;

/** @param lifetime milliseconds after which a row means nothing any more. */
export function createAcceptanceTable(
  database: DatabaseSync,
  lifetime: () => number,
  now: () => number,
  onFault: OnFault,
): AcceptanceTable {
  const get = createReader(
    database.prepare(
      'SELECT accepted_at FROM acceptances WHERE identity = ? AND registry = ? AND repository = ?',
    ),
    onFault,
  );
  const put = createWriter(
    database.prepare(
      'INSERT OR REPLACE INTO acceptances (identity, registry, repository, accepted_at) VALUES (?, ?, ?, ?)',
    ),
    onFault,
  );
  const remove = createWriter(
    database.prepare('DELETE FROM acceptances WHERE identity = ? AND registry = ? AND repository = ?'),
    onFault,
  );
  const expire = createWriter(database.prepare('DELETE FROM acceptances WHERE accepted_at < ?'), onFault);
  const trim = createWriter(
    database.prepare(
      'DELETE FROM acceptances WHERE accepted_at < (SELECT accepted_at FROM acceptances ORDER BY accepted_at DESC LIMIT 1 OFFSET ?)',
    ),
    onFault,
  );
  expire(now() - lifetime());
  let puts = 0;
  return {
    find(identity, registry, repository) {
      const row = get(identity, registry, repository);
      return row === undefined ? undefined : Number(row['accepted_at']);
    },
    put(identity, registry, repository, acceptedAt) {
      put(identity, registry, repository, acceptedAt);
      puts += 1;
      if (puts % TRIM_EVERY !== 0) return;
      expire(now() - lifetime());
      trim(MAX_ROWS);
    },
    delete: (identity, registry, repository) => remove(identity, registry, repository),
  };
}
