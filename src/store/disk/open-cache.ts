import type { BreakwaterError } from '../../registry/errors.ts';
import { openIndex, type Index } from '../index/database.ts';
import { openReadOnlyIndex } from '../index/read-only-index.ts';
import { openLayout, type Layout } from './layout.ts';

/** A cache folder and its index. */
export interface OpenedCache {
  readonly layout: Layout;
  readonly index: Index;
  /** Why nothing can be written, and how to mend it; undefined where everything can. */
  readonly readOnly: BreakwaterError | undefined;
}

/**
 * Opens a cache folder, which is made where it is missing; one that can but be read is opened for that.
 * @throws `CACHE_UNUSABLE`.
 */
export function openCache(root: string): OpenedCache {
  const { layout, readOnly } = openLayout(root);
  const index = readOnly === undefined ? openIndex(layout.index) : openReadOnlyIndex(layout.index);
  return { layout, index, readOnly };
}
