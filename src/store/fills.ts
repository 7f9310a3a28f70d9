import type { Digest } from '../registry/digest.ts';
import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
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

/** How a fill ended: `corrupt` bytes were not the digest's, `unstored` ones had no place in the cache. */
interface FillEnd {
  readonly result: 'stored' | 'corrupt' | 'unstored' | 'failed';
  readonly kind: 'blob' | 'manifest';
  /** Bytes that it brought. */
  readonly bytes: number;
}

/** The fills under way, one a digest. */
export interface Fills {
  find(digest: Digest): RunningFill | undefined;
  start(digest: Digest, origin: FillOrigin, source: FillSource): RunningFill;
  /** Begins a fill whose digest only its bytes will tell; nobody can join it. */
  startUnnamed(source: FillSource): Fill;
  /** How many are under way. */
  readonly active: number;
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
  readonly onEnd: (end: FillEnd) => void;
}

export function createFills({ store, rules, health, onEnd }: FillsOptions): Fills {
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
    let kind: FillEnd['kind'] = 'blob';
    fill.opened.then(
      ({ mediaType }) => {
        if (mediaType !== undefined) kind = 'manifest';
      },
      () => forget(fill, digest),
    );
    const end = (result: FillEnd['result']): void => {
      all.delete(fill);
      forget(fill, digest);
      onEnd({ result, kind, bytes: Math.max(0, fill.length - kept) });
    };
    fill.done.then(
      () => {
        end('stored');
        health.recovered();
      },
      (error: unknown) => {
        end(resultOf(error));
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
    get active() {
      return all.size;
    },
    async idle() {
      await Promise.allSettled([...all].map((fill) => fill.done));
    },
  };
}

function resultOf(error: unknown): FillEnd['result'] {
  const { code } = asBreakwaterError(error);
  if (code === 'DIGEST_MISMATCH' || code === 'SIZE_MISMATCH') return 'corrupt';
  return code === 'STORE_UNAVAILABLE' ? 'unstored' : 'failed';
}

function isDiskFault(error: unknown): boolean {
  return error instanceof BreakwaterError && error.code === 'STORE_UNAVAILABLE' && error.cause !== undefined;
}
