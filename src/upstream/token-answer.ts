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
  const fields = fieldsOf(body);
  const token = textOf(fields.get('token')) ?? textOf(fields.get('access_token'));
  if (token === undefined) return undefined;
  const seconds = Number(fields.get('expires_in'));
  const lifetime = seconds > 0 ? Math.min(seconds, MAX_LIFETIME) : DEFAULT_LIFETIME;
  return { token, lifetime: lifetime * 1000, refreshToken: parseRefreshToken(body) };
}

/** The refresh token of an answer, with an access token or alone. */
export function parseRefreshToken(body: Buffer): string | undefined {
  return textOf(fieldsOf(body).get('refresh_token'));
}

/** None where the body is no JSON object. */
function fieldsOf(body: Buffer): ReadonlyMap<string, unknown> {
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'));
    return new Map(typeof answer === 'object' && answer !== null ? Object.entries(answer) : []);
  } catch {
    return new Map();
  }
}

/** A token becomes a header: what cannot stand in one is none. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) ? value : undefined;
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
