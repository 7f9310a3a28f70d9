import { LRUCache } from 'lru-cache';
import type { RepositoryName } from '../registry/name.ts';

const MAX_ENTRIES = 100_000;

/** Remembers whose own credentials upstream accepted for which repository, and when. */
export interface Acceptance {
  accepted(identityKey: string, registry: string, repository: RepositoryName): void;
  /** True where that was within the last `leash` milliseconds. */
  isAccepted(identityKey: string, registry: string, repository: RepositoryName, leash: number): boolean;
}

export function createAcceptance(now: () => number): Acceptance {
  const times = new LRUCache<string, number>({ max: MAX_ENTRIES });
  const key = (identity: string, registry: string, repository: string): string =>
    `${identity} ${registry} ${repository}`;
  return {
    accepted: (identity, registry, repository) => void times.set(key(identity, registry, repository), now()),
    isAccepted(identity, registry, repository, leash) {
      const time = times.get(key(identity, registry, repository));
      return time !== undefined && now() - time < leash;
    },
  };
}
