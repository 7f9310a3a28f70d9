/** What the proxy shows of itself where it is asked for credentials. */
export interface Login {
  /** A refresh token (Docker: identity token) is good for a token service alone, and goes there by POST. */
  readonly kind: 'password' | 'refresh-token';
  readonly username: string;
  readonly secret: { reveal(): string };
  /** Tells where it came from that it is not accepted any more. */
  readonly refused: () => void;
}

/** The `Authorization: Basic` value of a login. */
export function basicOf({ username, secret }: Login): string {
  return `Basic ${Buffer.from(`${username}:${secret.reveal()}`).toString('base64')}`;
}
