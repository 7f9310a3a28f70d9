import type { IncomingMessage } from 'node:http';
import { BreakwaterError } from '../registry/errors.ts';
import { authorizationKey } from '../upstream/identity.ts';

/** An OAuth2 token request's form, and whose it is. */
export interface TokenForm {
  readonly body: Buffer;
  /** Stands for the credentials in it; the same user by Basic has the same. Undefined where it has none. */
  readonly ownerKey: string | undefined;
}

const MAX_FORM = 64 * 1024;

/** Reads the form of a POST to a token service; throws `REQUEST_MALFORMED` where it is larger than 64 KiB. */
export async function readTokenForm(request: IncomingMessage): Promise<TokenForm> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_FORM)
      throw new BreakwaterError('REQUEST_MALFORMED', 'the token request is larger than 64 KiB');
    chunks.push(bytes);
  }
  const body = Buffer.concat(chunks, length);
  const form = new URLSearchParams(body.toString('utf8'));
  const username = form.get('username');
  const password = form.get('password');
  if (username !== null && password !== null) {
    const basic = Buffer.from(`${username}:${password}`).toString('base64');
    return { body, ownerKey: authorizationKey(`Basic ${basic}`) };
  }
  const refresh = form.get('refresh_token');
  return { body, ownerKey: refresh === null ? undefined : authorizationKey(`Refresh ${refresh}`) };
}
