import type { DatabaseSync } from 'node:sqlite';
import { isDigest, type Digest } from '../../registry/digest.ts';
import type { RepositoryName, Tag } from '../../registry/name.ts';
import { createReader } from './reader.ts';
import { createWriter, type OnFault } from './writer.ts';

/** A tag as one kind of client sees it: registries choose the manifest by `Accept`, which `variant` stands for. */
export interface TagKey {
  readonly registry: string;
  readonly repository: RepositoryName;
  readonly tag: Tag;
  readonly variant: string;
}

/** What a tag pointed to when upstream was last asked. */
export interface TagRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly checkedAt: number;
}

export interface TagTable {
  find(key: TagKey): TagRecord | undefined;
  put(key: TagKey, record: TagRecord): void;
  /** Forgets a tag in all its variants. */
  delete(key: Omit<TagKey, 'variant'>): void;
  /** Forgets every tag of a repository that pointed to a digest. */
  deleteTo(registry: string, repository: RepositoryName, digest: Digest): void;
}

export function createTagTable(database: DatabaseSync, onFault: OnFault): TagTable {
  const get = createReader(
    database.prepare(
      'SELECT digest, media_type, size, checked_at FROM tags WHERE registry = ? AND repository = ? AND tag = ? AND variant = ?',
    ),
    onFault,
  );
  const put = createWriter(
    database.prepare(
      'INSERT OR REPLACE INTO tags (registry, repository, tag, variant, digest, media_type, size, checked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    onFault,
  );
  const remove = createWriter(
    database.prepare('DELETE FROM tags WHERE registry = ? AND repository = ? AND tag = ?'),
    onFault,
  );
  const removeTo = createWriter(
    database.prepare('DELETE FROM tags WHERE registry = ? AND repository = ? AND digest = ?'),
    onFault,
  );
  return {
    find({ registry, repository, tag, variant }) {
      const row = get(registry, repository, tag, variant);
      const digest = String(row?.['digest']);
      if (row === undefined || !isDigest(digest)) return undefined;
      return {
        digest,
        mediaType: String(row['media_type']),
        size: Number(row['size']),
        checkedAt: Number(row['checked_at']),
      };
    },
    put({ registry, repository, tag, variant }, { digest, mediaType, size, checkedAt }) {
      put(registry, repository, tag, variant, digest, mediaType, size, checkedAt);
    },
    delete: ({ registry, repository, tag }) => remove(registry, repository, tag),
    deleteTo: (registry, repository, digest) => removeTo(registry, repository, digest),
  };
}
