import { LRUCache } from 'lru-cache';
import type { RepositoryName } from '../registry/name.ts';

const MAX_ENTRIES = 100_000;

/** Remembers for a short while whose own credentials upstream accepted for which repository. */
export interface Acceptance {
  accepted(identityKey: string, registry: string, repository: RepositoryName): void;
  isAccepted(identityKey: string, registry: string, repository: RepositoryName): boolean;
}

/** @param leash milliseconds until upstream is asked again. */
export function createAcceptance(leash: number): Acceptance {
  const entries = new LRUCache<string, true>({ max: MAX_ENTRIES, ttl: leash });
  const key = (identity: string, registry: string, repository: string): string =>
    `${identity} ${registry} ${repository}`;
  return {
    accepted: (identity, registry, repository) => void entries.set(key(identity, registry, repository), true),
    isAccepted: (identity, registry, repository) => entries.has(key(identity, registry, repository)),
  };
}
