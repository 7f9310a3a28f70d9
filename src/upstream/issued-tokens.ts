import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Visibility } from '../registry/visibility.ts';
import { authorizationKey, type Identity, PROXY_IDENTITY } from './identity.ts';

/** How many tokens are remembered; one that is forgotten counts as the client's own, which is the safe side. */
const MAX_TOKENS = 50_000;
/** How long a token lives that the proxy made itself, in milliseconds. */
export const LOCAL_LIFETIME_MS = 60_000;
const LOCAL_PREFIX = 'breakwater.';

/** On whose credentials a token was issued. */
export interface TokenOwner {
  readonly visibility: Visibility;
  /** Stands for the client's own credentials; undefined where they were the proxy's, or none. */
  readonly key: string | undefined;
}

/** Remembers on whose credentials the tokens were issued that clients fetched through the proxy. */
export interface IssuedTokens {
  remember(token: string, owner: TokenOwner, lifetime: number): void;
  /**
   * Makes a token that only this proxy accepts, for when the token service cannot be asked.
   * @returns the token and its lifetime in milliseconds.
   */
  issue(owner: TokenOwner): { readonly token: string; readonly lifetime: number };
  /** What content fetched with this `Authorization` header is: `own` unless the token is known. */
  visibilityOf(authorization: string): Visibility;
  /**
   * The identity behind a client's header. A token that was issued without credentials of the client's own opens
   * nothing that the proxy cannot open itself: asked in the proxy's name, the questions of many clients are one,
   * and no token expires on the way. Tokens of one user are one identity.
   */
  identityBehind(identity: Identity): Identity;
}

export function createIssuedTokens(now: () => number = () => performance.now()): IssuedTokens {
  const owners = new LRUCache<string, TokenOwner>({ max: MAX_TOKENS, perf: { now }, ttlResolution: 0 });
  const ownerOf = (authorization: string): TokenOwner | undefined => {
    const space = authorization.indexOf(' ');
    if (authorization.slice(0, space).toLowerCase() !== 'bearer') return undefined;
    return owners.get(authorizationKey(`Bearer ${authorization.slice(space + 1).trim()}`));
  };
  const remember: IssuedTokens['remember'] = (token, owner, lifetime) => {
    owners.set(authorizationKey(`Bearer ${token}`), owner, { ttl: lifetime });
  };
  return {
    remember,
    issue(owner) {
      const token = `${LOCAL_PREFIX}${randomBytes(32).toString('base64url')}`;
      remember(token, owner, LOCAL_LIFETIME_MS);
      return { token, lifetime: LOCAL_LIFETIME_MS };
    },
    visibilityOf: (authorization) => ownerOf(authorization)?.visibility ?? 'own',
    identityBehind(identity) {
      if (identity.kind !== 'client') return identity;
      const owner = ownerOf(identity.authorization);
      if (owner === undefined) return identity;
      return owner.visibility === 'own' ? { ...identity, key: owner.key ?? identity.key } : PROXY_IDENTITY;
    },
  };
}

/** True where the header has the form of a token that the proxy made itself; whether it counts is another matter. */
export function isLocalToken(authorization: string): boolean {
  return authorization.slice('Bearer '.length).startsWith(LOCAL_PREFIX);
}
