import type { BreakwaterError } from '../registry/errors.ts';

/** Statuses by which upstream says that it cannot answer; 401, 403 and 404 are answers. */
const OUTAGE_STATUSES = new Set([429, 500, 502, 503, 504]);

/** True where upstream could not be asked or could not answer, so that what is known may stand in. */
export function isOutage(error: BreakwaterError): boolean {
  return error.source === 'upstream' && OUTAGE_STATUSES.has(error.status) && error.code !== 'DIGEST_MISMATCH';
}
