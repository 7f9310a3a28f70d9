import type { SQLInputValue, StatementSync } from 'node:sqlite';

/** Told of what failed where no request is there to be told. */
export type OnFault = (error: unknown, doing: string) => void;

/**
 * Runs a writing statement; a disk that refuses it, being full or read-only, fails no pull: what the index
 * misses is asked of upstream again.
 */
export function createWriter(
  statement: StatementSync,
  onFault: OnFault,
): (...values: SQLInputValue[]) => void {
  return (...values) => {
    try {
      statement.run(...values);
    } catch (error) {
      onFault(error, 'writing the index');
    }
  };
}
