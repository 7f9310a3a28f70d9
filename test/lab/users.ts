export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Owns `alice/…` on every registry and publishes the lab's images. */
export const ALICE: Credentials = { username: 'alice', password: 's3cret' };

/** Has an account on the hub and nothing else: his login works, Alice's repositories stay closed to him. */
export const BOB: Credentials = { username: 'bob', password: 'hunter2' };

export function isUser(username: string, password: string): boolean {
  return [ALICE, BOB].some((user) => user.username === username && user.password === password);
}
