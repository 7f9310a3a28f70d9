import { BreakwaterError } from '../../registry/errors.ts';
import type { Store } from '../store.ts';
import type { Bounds } from './room.ts';

/** What cannot be deleted is not evicted. */
export const NO_BOUNDS: Bounds = { maxSize: Number.POSITIVE_INFINITY, minFree: 0 };

/** A store that gives what it has and takes nothing: what is new passes by it. */
export function createReadOnlyStore(store: Store): Store {
  return {
    ...store,
    begin: () => Promise.reject(new BreakwaterError('STORE_UNAVAILABLE', 'the cache is read-only')),
    kept: () => 0,
    dropKeptBefore: () => undefined,
    remove: () => Promise.resolve(),
  };
}
