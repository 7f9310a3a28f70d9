import { createHmac } from 'node:crypto';

/**
 * Turns an identity's key into what may lie on the disk for it. A plain hash of a user's name and password could be
 * tried out with guesses by whoever has the disk; this one only by who has the secret too.
 */
export type IdentitySeal = (identityKey: string) => string;

/** @param secret of 32 bytes or more that is not on the cache's disk. */
export function createIdentitySeal(secret: Buffer): IdentitySeal {
  return (identityKey) => createHmac('sha256', secret).update(identityKey).digest('base64url');
}
