import type { Digest } from '../registry/digest.ts';
import type { ObjectTable } from './index/object-table.ts';
import type { Store } from './store.ts';
import type { OnFault } from './index/writer.ts';

const SWEEP_EVERY_MS = 10 * 60_000;
/** Objects removed at a time, so that a large sweep stops no request. */
const BATCH = 100;

/**
 * Removes what nobody asked for in `inactive` milliseconds (`CACHE_INACTIVE`; nginx `inactive`), now and then.
 * @returns stops it.
 */
export function startInactiveSweep(
  store: Store,
  objects: ObjectTable,
  inactive: () => number,
  now: () => number,
  onFault: OnFault,
): () => void {
  const stop = new AbortController();
  async function sweep(): Promise<void> {
    store.dropKeptBefore(now() - inactive());
    let before: Digest | undefined;
    while (!stop.signal.aborted) {
      const unused = objects.unusedSince(now() - inactive(), BATCH);
      const [oldest] = unused;
      // an index that cannot be written gives the same ones again and again
      if (oldest === undefined || oldest === before) return;
      before = oldest;
      await Promise.all(unused.map((digest) => store.remove(digest)));
    }
  }
  const run = (): void =>
    void sweep().catch((error: unknown) => onFault(error, 'removing what nobody asked for'));
  const timer = setInterval(run, SWEEP_EVERY_MS);
  timer.unref();
  run();
  return () => {
    stop.abort();
    clearInterval(timer);
  };
}
