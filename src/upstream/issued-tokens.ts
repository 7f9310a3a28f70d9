import { LRUCache } from 'lru-cache';
import type { Visibility } from '../registry/visibility.ts';
import { authorizationKey } from './identity.ts';

/** How many tokens are remembered; one that is forgotten counts as the client's own, which is the safe side. */
const MAX_TOKENS = 50_000;

/** Remembers on whose credentials the tokens were issued that clients fetched through the proxy. */
export interface IssuedTokens {
  remember(token: string, visibility: Visibility, lifetime: number): void;
  /** What content fetched with this `Authorization` header is: `own` unless the token is known. */
  visibilityOf(authorization: string): Visibility;
}

export function createIssuedTokens(): IssuedTokens {
  const tokens = new LRUCache<string, Visibility>({ max: MAX_TOKENS, ttlAutopurge: false });
  return {
    remember(token, visibility, lifetime) {
      tokens.set(authorizationKey(`Bearer ${token}`), visibility, { ttl: lifetime });
    },
    visibilityOf(authorization) {
      const space = authorization.indexOf(' ');
      if (authorization.slice(0, space).toLowerCase() !== 'bearer') return 'own';
      return tokens.get(authorizationKey(`Bearer ${authorization.slice(space + 1).trim()}`)) ?? 'own';
    },
  };
}
