/** How long a line may wait for others, in milliseconds, and how many characters make a write of their own. */
const WAIT_MS = 25;
const ENOUGH = 64 * 1024;

/** Writes lines to a log. */
export interface LineWriter {
  write(line: string): void;
  /** Writes what waits; to be called before the end. */
  flush(): void;
}

/** Gathers the lines of a moment into one write: under load a write a line costs more than the request did. */
export function createLineWriter(write: (lines: string) => void): LineWriter {
  let gathered = '';
  let timer: NodeJS.Timeout | undefined;
  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (gathered === '') return;
    const lines = gathered;
    gathered = '';
    write(lines);
  }
  return {
    write(line) {
      gathered += line;
      if (gathered.length >= ENOUGH) flush();
      else timer ??= setTimeout(flush, WAIT_MS);
    },
    flush,
  };
}
