import { markedSecret, type MarkedSecret } from '../support/marked-secrets.ts';

export interface Credentials {
  readonly username: string;
  readonly password: MarkedSecret;
}

/** Owns `alice/…` on every registry and publishes the lab's images. */
export const ALICE: Credentials = { username: 'alice', password: markedSecret('of-alice') };

/** Has an account on the hub and nothing else: his login works, Alice's repositories stay closed to him. */
export const BOB: Credentials = { username: 'bob', password: markedSecret('of-bob') };

/** Alice's name with a password that is not hers. */
export const WRONG: Credentials = { ...ALICE, password: markedSecret('guess') };

export function isUser(username: string, password: string): boolean {
  return [ALICE, BOB].some((user) => user.username === username && user.password === password);
}
