import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { digestAlgorithm, digestHex, isDigest, type Digest } from '../../registry/digest.ts';
import type { OnFault } from '../index/writer.ts';

/** Partial objects that nobody fills now, by the digest they will have; they survive a restart. */
export interface KeptPartials {
  /** Bytes that can be gone on from. */
  length(digest: Digest): number;
  /** Bytes of all of them. */
  readonly bytes: number;
  path(digest: Digest): string;
  keep(digest: Digest, length: number): void;
  /** Hands one to a fill. */
  take(digest: Digest): void;
  /** Deletes the one that was kept first; false where there is none. */
  dropOldest(): boolean;
  /** Deletes those that were kept before `time` (milliseconds since the epoch). */
  dropBefore(time: number): void;
}

interface Kept {
  readonly length: number;
  readonly since: number;
}

/** Finds what is in the folder; files that belong to no digest are what a crash left, and are deleted. */
export function openKeptPartials(folder: string, now: () => number, onFault: OnFault): KeptPartials {
  /** The one that was kept first is first. */
  const parts = new Map<Digest, Kept>();
  let bytes = 0;
  const path = (digest: Digest): string => join(folder, `${digestAlgorithm(digest)}-${digestHex(digest)}`);

  function take(digest: Digest): void {
    bytes -= parts.get(digest)?.length ?? 0;
    parts.delete(digest);
  }
  function keep(digest: Digest, length: number, since: number): void {
    take(digest);
    parts.set(digest, { length, since });
    bytes += length;
  }
  function drop(digest: Digest): void {
    take(digest);
    discard(path(digest));
  }
  function discard(file: string): void {
    try {
      rmSync(file, { recursive: true, force: true });
    } catch (error) {
      onFault(error, 'deleting a kept partial object');
    }
  }

  const found: (Kept & { readonly digest: Digest })[] = [];
  for (const name of readdirSync(folder)) {
    const digest = name.replace('-', ':');
    const { size, mtimeMs } = statSync(join(folder, name));
    if (isDigest(digest) && size > 0) found.push({ digest, length: size, since: mtimeMs });
    else discard(join(folder, name));
  }
  found.sort((one, other) => one.since - other.since);
  for (const { digest, length, since } of found) keep(digest, length, since);
  return {
    length: (digest) => parts.get(digest)?.length ?? 0,
    get bytes() {
      return bytes;
    },
    path,
    keep: (digest, length) => keep(digest, length, now()),
    take,
    dropOldest() {
      const [oldest] = parts.keys();
      if (oldest === undefined) return false;
      drop(oldest);
      return true;
    },
    dropBefore(time) {
      for (const [digest, { since }] of parts) if (since < time) drop(digest);
    },
  };
}
