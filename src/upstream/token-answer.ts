import type { Readable } from 'node:stream';
import { BreakwaterError } from '../registry/errors.ts';

/** Token answers and error bodies are small; more than this is neither. */
const MAX_BODY = 1024 * 1024;
/** Seconds a token lives where its answer does not say (distribution's token specification). */
const DEFAULT_LIFETIME = 60;

/** A token and its lifetime in milliseconds. */
export interface TokenAnswer {
  readonly token: string;
  readonly lifetime: number;
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
  const token = [fields.get('token'), fields.get('access_token')].find((value) => typeof value === 'string');
  if (typeof token !== 'string' || token === '') return undefined;
  const seconds = fields.get('expires_in');
  const lifetime = typeof seconds === 'number' && seconds > 0 ? seconds : DEFAULT_LIFETIME;
  return { token, lifetime: lifetime * 1000 };
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
