import { LRUCache } from 'lru-cache';
import type { RepositoryName } from '../registry/name.ts';
import type { AcceptanceTable } from '../store/index/acceptance-table.ts';
import type { IdentitySeal } from './identity-seal.ts';

const MAX_ENTRIES = 100_000;
/** What was accepted again within this time, in milliseconds, is not written again: leashes on disk are long. */
const WRITE_EVERY_MS = 60_000;

/** Remembers whose own credentials upstream accepted for which repository, and when; a restart changes nothing. */
export interface Acceptance {
  accepted(identityKey: string, registry: string, repository: RepositoryName): void;
  /** Upstream has changed its mind. */
  refused(identityKey: string, registry: string, repository: RepositoryName): void;
  /** True where upstream accepted them within the last `leash` milliseconds, and has not refused them since. */
  isAccepted(identityKey: string, registry: string, repository: RepositoryName, leash: number): boolean;
}

interface Entry {
  readonly time: number;
  readonly writtenAt: number;
}

/** @param seal what stands for an identity on the disk. */
export function createAcceptance(table: AcceptanceTable, seal: IdentitySeal, now: () => number): Acceptance {
  const entries = new LRUCache<string, Entry>({ max: MAX_ENTRIES });
  const keyOf = (identity: string, registry: string, repository: string): string =>
    `${identity} ${registry} ${repository}`;

  function find(identity: string, registry: string, repository: RepositoryName): Entry | undefined {
    const key = keyOf(identity, registry, repository);
    const known = entries.get(key);
    if (known !== undefined) return known;
    const time = table.find(seal(identity), registry, repository);
    if (time === undefined) return undefined;
    const entry = { time, writtenAt: time };
    entries.set(key, entry);
    return entry;
  }

  return {
    accepted(identity, registry, repository) {
      const time = now();
      const known = find(identity, registry, repository);
      const isWritten = known !== undefined && time - known.writtenAt < WRITE_EVERY_MS;
      entries.set(keyOf(identity, registry, repository), {
        time,
        writtenAt: isWritten ? known.writtenAt : time,
      });
      if (!isWritten) table.put(seal(identity), registry, repository, time);
    },
    refused(identity, registry, repository) {
      if (find(identity, registry, repository) === undefined) return;
      entries.delete(keyOf(identity, registry, repository));
      table.delete(seal(identity), registry, repository);
    },
    isAccepted(identity, registry, repository, leash) {
      const entry = find(identity, registry, repository);
      if (entry === undefined) return false;
      const age = now() - entry.time;
      // of a clock that was set back nothing is to be had
      return age >= 0 && age < leash;
    },
  };
}
