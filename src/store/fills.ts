import type { Digest } from '../registry/digest.ts';
import type { RepositoryName } from '../registry/name.ts';
import { startFill, type Fill, type FillSource } from './fill.ts';
import type { Store } from './store.ts';

/** Whose request began a fill; for others of the same repository it is worth waiting for its answer. */
export interface FillOrigin {
  readonly registry: string;
  readonly repository: RepositoryName;
  readonly identityKey: string;
}

export interface RunningFill {
  readonly fill: Fill;
  readonly origin: FillOrigin;
}

/** The fills under way, one a digest. */
export interface Fills {
  find(digest: Digest): RunningFill | undefined;
  start(digest: Digest, origin: FillOrigin, source: FillSource): RunningFill;
  /** Begins a fill whose digest only its bytes will tell; nobody can join it. */
  startUnnamed(source: FillSource): Fill;
  /** Settles when no fill is under way. */
  idle(): Promise<void>;
}

export function createFills(store: Store, stallTimeout: number): Fills {
  const running = new Map<Digest, RunningFill>();
  const unnamed = new Set<Fill>();
  return {
    find: (digest) => running.get(digest),
    start(digest, origin, source) {
      const fill = startFill({ source, begin: (size) => store.begin(digest, size), stallTimeout });
      const entry: RunningFill = { fill, origin };
      running.set(digest, entry);
      const end = (): void => void running.delete(digest);
      fill.done.then(end, end);
      return entry;
    },
    startUnnamed(source) {
      const fill = startFill({ source, begin: (size) => store.begin(undefined, size), stallTimeout });
      const end = (): void => void unnamed.delete(fill);
      unnamed.add(fill);
      fill.done.then(end, end);
      return fill;
    },
    async idle() {
      const all = [...unnamed, ...[...running.values()].map(({ fill }) => fill)];
      await Promise.allSettled(all.map((fill) => fill.done));
    },
  };
}
