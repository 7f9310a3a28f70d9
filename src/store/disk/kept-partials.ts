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
}

/** Finds what is in the folder; files that belong to no digest are what a crash left, and are deleted. */
export function openKeptPartials(folder: string, onFault: OnFault): KeptPartials {
  const lengths = new Map<Digest, number>();
  let bytes = 0;
  const path = (digest: Digest): string => join(folder, `${digestAlgorithm(digest)}-${digestHex(digest)}`);

  function take(digest: Digest): void {
    bytes -= lengths.get(digest) ?? 0;
    lengths.delete(digest);
  }
  function keep(digest: Digest, length: number): void {
    take(digest);
    lengths.set(digest, length);
    bytes += length;
  }

  for (const name of readdirSync(folder)) {
    const digest = name.replace('-', ':');
    const { size } = statSync(join(folder, name));
    if (isDigest(digest) && size > 0) keep(digest, size);
    else rmSync(join(folder, name), { recursive: true });
  }
  return {
    length: (digest) => lengths.get(digest) ?? 0,
    get bytes() {
      return bytes;
    },
    path,
    keep,
    take,
    dropOldest() {
      const [oldest] = lengths.keys();
      if (oldest === undefined) return false;
      take(oldest);
      try {
        rmSync(path(oldest), { force: true });
      } catch (error) {
        onFault(error, 'deleting a kept partial object');
      }
      return true;
    },
  };
}
