import { realpathSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Milliseconds after an event until files are read: what writes them may do it in steps. */
const SETTLE_MS = 200;
/** All that is in a folder, or the file itself. */
const ALL = '*';

export interface WatchedFiles {
  /** Watches these from now on, and no others. */
  watch(paths: readonly string[]): void;
  /** Ends it: no call begins any more; settles when none is under way. */
  close(): Promise<void>;
}

/**
 * Calls `onChange` when files or folders may have changed, one call after the other; never misses a change, and keeps no
 * process alive. Watched are the files themselves, the folders they are in, and those that they lead to: so a write
 * in place is seen where a file is mounted alone, a new file renamed over the old one, and Kubernetes's swap of the
 * link `..data`.
 * @param onFailure told of what cannot be watched, and of what `onChange` throws.
 */
export function watchFiles(
  first: readonly string[],
  onChange: () => void | Promise<void>,
  onFailure: (thrown: unknown) => void,
): WatchedFiles {
  const watchers = new Map<string, FSWatcher>();
  /** The names that count in each place. */
  let wanted = new Map<string, ReadonlySet<string>>();
  let paths = first;
  let timer: NodeJS.Timeout | undefined;
  let reading = Promise.resolve();
  let closed = false;

  function onEvent(place: string, name: string | null): void {
    const names = wanted.get(place);
    if (name !== null && names?.has(name) !== true && names?.has(ALL) !== true) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      reading = reading.then(read);
    }, SETTLE_MS).unref();
  }

  async function read(): Promise<void> {
    if (closed) return;
    try {
      // first, so that a change while it is read is seen
      rewatch();
      await onChange();
    } catch (thrown) {
      onFailure(thrown);
    }
  }

  /** Links may lead elsewhere by now, and under the old names may be new files. */
  function rewatch(): void {
    const places = Map.groupBy(paths.flatMap(placesOf), ({ at }) => at);
    wanted = new Map([...places].map(([at, found]) => [at, new Set(found.map(({ name }) => name))]));
    const before = [...watchers.values()];
    watchers.clear();
    for (const place of wanted.keys()) add(place);
    // last, so that nothing is missed in between
    for (const watcher of before) watcher.close();
  }

  function add(place: string): void {
    try {
      const watcher = watch(place, { persistent: false }, (_, name) => onEvent(place, name));
      watcher.on('error', (error) => {
        watcher.close();
        onFailure(error);
      });
      watchers.set(place, watcher);
    } catch (thrown) {
      // what is not there cannot be read either, and whoever reads it says so
      if (!isMissing(thrown)) onFailure(thrown);
    }
  }

  rewatch();
  return {
    watch(others) {
      paths = others;
      rewatch();
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      for (const watcher of watchers.values()) watcher.close();
      await reading;
    },
  };
}

/** A file or folder to watch, and the name that counts there. */
interface Place {
  readonly at: string;
  readonly name: string;
}

/** Where a path is, and Kubernetes's link beside it; where it leads to; and itself, with all that is in it. */
function placesOf(path: string): readonly Place[] {
  const here = [basename(path), '..data'].map((name) => ({ at: dirname(path), name }));
  try {
    const target = realpathSync(path);
    return [...here, { at: dirname(target), name: basename(target) }, { at: target, name: ALL }];
  } catch {
    return here; // it is not there, and its folder tells when it is
  }
}

function isMissing(thrown: unknown): boolean {
  return (
    thrown instanceof Error && 'code' in thrown && (thrown.code === 'ENOENT' || thrown.code === 'ENOTDIR')
  );
}
