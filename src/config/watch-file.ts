import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

/** A moment, in milliseconds, for a writer to finish: what is told first is that a file was emptied. */
const SETTLE = 100;

/**
 * Calls back after a file was written, replaced or swapped by a link in its folder, as Kubernetes does with secrets;
 * it may call without a change, never miss one. Gives what ends it; it keeps no process alive.
 */
export function watchFile(path: string, onChange: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  let file: FSWatcher | undefined;
  let ended = false;

  function changed(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      watchContent();
      onChange();
    }, SETTLE).unref();
  }
  /** The file itself: one that is mounted alone is written without its folder being told. */
  function watchContent(): void {
    file?.close();
    file = ended ? undefined : tryToWatch(path, changed);
  }

  const name = basename(path);
  const folder = tryToWatch(dirname(path), (changedName) => {
    if (changedName === null || changedName === name || changedName.startsWith('..')) changed();
  });
  watchContent();
  return () => {
    ended = true;
    clearTimeout(timer);
    folder?.close();
    file?.close();
  };
}

/** A file that is being replaced is not there for a moment; its folder tells when it is. */
function tryToWatch(path: string, onEvent: (name: string | null) => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, { persistent: false }, (_event, name) => onEvent(name));
    // what is watched is gone
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}
