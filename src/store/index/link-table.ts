import type { DatabaseSync } from 'node:sqlite';
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
  const find: LinkTable['find'] = (registry, repository, digest) => {
    const visibility = get(registry, repository, digest)?.['visibility'];
    return VISIBILITIES.find((known) => known === visibility);
  };
  return {
    find,
    put(registry, repository, digest, visibility) {
      const known = find(registry, repository, digest);
      if (known !== undefined && !isWider(visibility, known)) return;
      put(registry, repository, digest, visibility);
    },
    delete: (registry, repository, digest) => remove(registry, repository, digest),
  };
}
