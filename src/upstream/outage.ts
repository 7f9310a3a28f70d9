import type { BreakwaterError } from '../registry/errors.ts';

/** Statuses by which upstream says that it cannot answer; 401, 403 and 404 are answers. */
const OUTAGE_STATUSES: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);

/** True where upstream could not be asked or could not answer, so that what is known may stand in. */
export function isOutage(error: BreakwaterError): boolean {
  if (error.source !== 'upstream' || error.code === 'DIGEST_MISMATCH') return false;
  // a challenge for want of an answer says nothing of what its client may have
  return isOutageStatus(error.status) || error.code === 'UPSTREAM_TOKEN';
}

export function isOutageStatus(status: number): boolean {
  return OUTAGE_STATUSES.has(status);
}
