import type { DatabaseSync } from 'node:sqlite';
import { LRUCache } from 'lru-cache';
import type { Digest } from '../../registry/digest.ts';
import type { RepositoryName } from '../../registry/name.ts';
import { isWider, VISIBILITIES, type Visibility } from '../../registry/visibility.ts';
import { createReader } from './reader.ts';
import { createWriter, type OnFault } from './writer.ts';

/** Which repository of which registry is known to serve which digest, and to whom. */
export interface LinkTable {
  find(registry: string, repository: RepositoryName, digest: Digest): Visibility | undefined;
  /** Records that upstream served it; a link never narrows, as what is public stays public. */
  put(registry: string, repository: RepositoryName, digest: Digest, visibility: Visibility): void;
  delete(registry: string, repository: RepositoryName, digest: Digest): void;
}

/** Links kept in memory beside the table: those of what is asked for now. */
const MAX_LINKS = 20_000;

export function createLinkTable(database: DatabaseSync, onFault: OnFault): LinkTable {
  const get = createReader(
    database.prepare('SELECT visibility FROM links WHERE registry = ? AND repository = ? AND digest = ?'),
    onFault,
  );
  const put = createWriter(
    database.prepare(
      'INSERT OR REPLACE INTO links (registry, repository, digest, visibility) VALUES (?, ?, ?, ?)',
    ),
    onFault,
  );
  const remove = createWriter(
    database.prepare('DELETE FROM links WHERE registry = ? AND repository = ? AND digest = ?'),
    onFault,
  );
  const links = new LRUCache<string, Visibility>({ max: MAX_LINKS });
  const keyOf = (registry: string, repository: string, digest: string): string =>
    `${registry} ${repository} ${digest}`;
  const find: LinkTable['find'] = (registry, repository, digest) => {
    const key = keyOf(registry, repository, digest);
    const cached = links.get(key);
    if (cached !== undefined) return cached;
    const stored = get(registry, repository, digest)?.['visibility'];
    const visibility = VISIBILITIES.find((known) => known === stored);
    if (visibility !== undefined) links.set(key, visibility);
    return visibility;
  };
  return {
    find,
    put(registry, repository, digest, visibility) {
      const known = find(registry, repository, digest);
      if (known !== undefined && !isWider(visibility, known)) return;
      links.set(keyOf(registry, repository, digest), visibility);
      put(registry, repository, digest, visibility);
    },
    delete(registry, repository, digest) {
      links.delete(keyOf(registry, repository, digest));
      remove(registry, repository, digest);
    },
  };
}
