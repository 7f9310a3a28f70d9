import { watch, type FSWatcher } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Milliseconds without a further event before files are read: what writes them may do it in steps. */
const SETTLE_MS = 200;

export interface WatchedFiles {
  /** Watches these from now on, and no others. */
  watch(paths: readonly string[]): Promise<void>;
  /** Stops watching; waits for a reading under way. */
  close(): Promise<void>;
}

/**
 * Calls `onChange` when files or folders may have changed. The folders they are in are watched, and those that they
 * lead to: so a new file renamed over the old one is seen, and Kubernetes's swap of the link `..data`.
 * @param onFailure told of what cannot be watched, and of what `onChange` throws.
 */
export async function watchFiles(
  first: readonly string[],
  onChange: () => Promise<void>,
  onFailure: (thrown: unknown) => void,
): Promise<WatchedFiles> {
  const watchers = new Map<string, FSWatcher>();
  /** The names that count in each folder; `*` is all. */
  let wanted = new Map<string, ReadonlySet<string>>();
  let paths = first;
  let timer: NodeJS.Timeout | undefined;
  let reading = Promise.resolve();
  let closed = false;

  function onEvent(folder: string, name: string | null): void {
    const names = wanted.get(folder);
    if (name !== null && names?.has(name) !== true && names?.has('*') !== true) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      reading = reading.then(read);
    }, SETTLE_MS);
  }

  async function read(): Promise<void> {
    // first, so that a change while it is read is seen
    await rewatch();
    if (!closed) await onChange().catch(onFailure);
  }

  /** Links may lead elsewhere by now. */
  async function rewatch(): Promise<void> {
    const places = (await Promise.all(paths.map(placesOf))).flat();
    wanted = new Map(
      [...Map.groupBy(places, ({ folder }) => folder)].map(([folder, found]) => [
        folder,
        new Set(found.map(({ name }) => name)),
      ]),
    );
    for (const [folder, watcher] of watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of wanted.keys()) if (!closed && !watchers.has(folder)) add(folder);
  }

  function add(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => onEvent(folder, name));
      watcher.on('error', (error) => {
        watcher.close();
        watchers.delete(folder);
        onFailure(error);
      });
      watchers.set(folder, watcher);
    } catch (thrown) {
      onFailure(thrown);
    }
  }

  await rewatch();
  return {
    watch(others) {
      paths = others;
      return rewatch();
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      for (const watcher of watchers.values()) watcher.close();
      await reading;
    },
  };
}

/** A name in a folder, or all of them. */
interface Place {
  readonly folder: string;
  readonly name: string;
}

/** Where a path is, and Kubernetes's link beside it; where it leads to; and all that is in it. */
async function placesOf(path: string): Promise<readonly Place[]> {
  const here = [basename(path), '..data'].map((name) => ({ folder: dirname(path), name }));
  const target = await realpath(path).catch(() => undefined);
  if (target === undefined) return here;
  const isFolder = (await stat(target).catch(() => undefined))?.isDirectory() ?? false;
  const there = { folder: dirname(target), name: basename(target) };
  return isFolder ? [...here, there, { folder: target, name: '*' }] : [...here, there];
}
