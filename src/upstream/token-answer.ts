import type { Readable } from 'node:stream';
import { BreakwaterError } from '../registry/errors.ts';

/** Token answers and error bodies are small; more than this is neither. */
const MAX_BODY = 1024 * 1024;
/** Seconds a token lives where its answer does not say (distribution's token specification). */
const DEFAULT_LIFETIME = 60;
/** Seconds that are believed at most: no token is worth being kept for longer. */
const MAX_LIFETIME = 24 * 3_600;

/** A token and its lifetime in milliseconds. */
export interface TokenAnswer {
  readonly token: string;
  readonly lifetime: number;
  /** What to show the next time in place of what was shown, where the service says so. */
  readonly refreshToken: string | undefined;
}

/** Reads a token service's answer: `token` or `access_token`, `expires_in` in seconds; undefined if it is none. */
export function parseTokenAnswer(body: Buffer): TokenAnswer | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof answer !== 'object' || answer === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(answer));
  const text = (name: string): string | undefined => {
    const value = fields.get(name);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const token = text('token') ?? text('access_token');
  // it becomes a header: what cannot stand in one is no token
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) return undefined;
  const seconds = Number(fields.get('expires_in'));
  const lifetime = seconds > 0 ? Math.min(seconds, MAX_LIFETIME) : DEFAULT_LIFETIME;
  return { token, lifetime: lifetime * 1000, refreshToken: text('refresh_token') };
}

/** Reads a body that must be small; throws `UPSTREAM_PROTOCOL` and destroys it past 1 MiB. */
export async function readSmallBody(body: Readable, host: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_BODY)
      throw new BreakwaterError('UPSTREAM_PROTOCOL', `${host}: body larger than ${MAX_BODY} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks, length);
}
