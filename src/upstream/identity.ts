import { createHash } from 'node:crypto';

/** In whose name upstream is asked. */
export type Identity =
  /** Nobody's: without credentials, and a challenge is an answer. */
  | { readonly kind: 'nobody' }
  /** Anybody's: with what upstream gives to those who have no credentials. */
  | { readonly kind: 'anonymous' }
  /** The proxy's: with the credentials it holds for that registry, or with none. */
  | { readonly kind: 'proxy' }
  /** The client's, by the `Authorization` it sent; `key` stands for it wherever it must not be kept. */
  | { readonly kind: 'client'; readonly authorization: string; readonly key: string };

export const PROXY_IDENTITY: Identity = { kind: 'proxy' };
export const ANONYMOUS: Identity = { kind: 'anonymous' };
export const NOBODY: Identity = { kind: 'nobody' };

/** The identity of a request that goes on as it came: no credential is added, no challenge answered. */
export function asSent(identity: Identity): Identity {
  return identity.kind === 'proxy' ? NOBODY : identity;
}

/** The identity a request asks with: the client's own credentials win over the proxy's. */
export function identityOf(authorization: string | undefined): Identity {
  if (authorization === undefined || authorization === '') return PROXY_IDENTITY;
  return { kind: 'client', authorization, key: authorizationKey(authorization) };
}

/** A one-way key for a credential, so that tables never hold the credential itself. */
export function authorizationKey(authorization: string): string {
  return createHash('sha256').update(authorization).digest('base64url');
}

export function identityKey(identity: Identity): string {
  return identity.kind === 'client' ? identity.key : identity.kind;
}
