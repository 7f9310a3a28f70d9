import { createHash } from 'node:crypto';

/**
 * What stands for an `Accept` header in a tag's key: registries choose by it which manifest a tag means.
 * The order of the types and their spacing do not matter.
 */
export function variantOf(accept: string | undefined): string {
  const types = (accept ?? '').split(',').map((type) => type.trim().toLowerCase());
  const distinct = [...new Set(types)].filter((type) => type !== '').sort();
  return createHash('sha256').update(distinct.join(',')).digest('base64url').slice(0, 16);
}
