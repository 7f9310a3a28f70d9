import type { SQLInputValue, StatementSync } from 'node:sqlite';
import type { OnFault } from './writer.ts';

type Row = ReturnType<StatementSync['get']>;

/**
 * Runs a statement that gives one row; an index that cannot be read fails no pull: it is as good as one that does
 * not know.
 */
export function createReader(
  statement: StatementSync,
  onFault: OnFault,
): (...values: SQLInputValue[]) => Row {
  return (...values) => {
    try {
      return statement.get(...values);
    } catch (error) {
      onFault(error, 'reading the index');
      return undefined;
    }
  };
}
