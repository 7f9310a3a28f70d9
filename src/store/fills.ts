import type { Digest } from '../registry/digest.ts';
import { BreakwaterError } from '../registry/errors.ts';
import type { RepositoryName } from '../registry/name.ts';
import { startFill, type Fill, type FillSource } from './fill.ts';
import type { StoreHealth } from './health.ts';
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

interface FillRules {
  /** Milliseconds without a byte from upstream before a body counts as broken. */
  readonly stallTimeout: number;
  readonly abandoned: 'finish' | 'keep';
}

export interface FillsOptions {
  readonly store: Store;
  /** What holds for a fill that begins now. */
  readonly rules: () => FillRules;
  readonly health: StoreHealth;
}

export function createFills({ store, rules, health }: FillsOptions): Fills {
  const running = new Map<Digest, RunningFill>();
  const all = new Set<Fill>();

  /** Takes a fill out of the way; another one of its digest may have begun since it failed. */
  function forget(fill: Fill, digest: Digest | undefined): void {
    if (digest !== undefined && running.get(digest)?.fill === fill) running.delete(digest);
  }

  function start(source: FillSource, digest: Digest | undefined): Fill {
    const kept = digest === undefined ? 0 : store.kept(digest);
    const fill = startFill({ source, begin: () => store.begin(digest), kept, ...rules() });
    all.add(fill);
    // whoever comes after a refusal asks anew
    fill.opened.catch(() => forget(fill, digest));
    const end = (): void => {
      all.delete(fill);
      forget(fill, digest);
    };
    fill.done.then(
      () => {
        end();
        health.recovered();
      },
      (error: unknown) => {
        end();
        // an object that is too large for the cache is no fault of the disk
        if (isDiskFault(error)) health.fault(error, 'storing an object');
      },
    );
    return fill;
  }

  return {
    find: (digest) => running.get(digest),
    start(digest, origin, source) {
      const entry: RunningFill = { fill: start(source, digest), origin };
      running.set(digest, entry);
      return entry;
    },
    startUnnamed: (source) => start(source, undefined),
    async idle() {
      await Promise.allSettled([...all].map((fill) => fill.done));
    },
  };
}

function isDiskFault(error: unknown): boolean {
  return error instanceof BreakwaterError && error.code === 'STORE_UNAVAILABLE' && error.cause !== undefined;
}
