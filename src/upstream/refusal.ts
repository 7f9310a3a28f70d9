import type { OutgoingHttpHeaders } from 'node:http';
import { BreakwaterError, type ErrorCode } from '../registry/errors.ts';
import { pickHeaders } from '../registry/headers.ts';
import { readSmallBody } from './token-answer.ts';
import type { UpstreamAnswer } from './upstream.ts';

/** What of a refusal's headers is the client's business. */
const RELAYED = [
  'content-type',
  'www-authenticate',
  'retry-after',
  'docker-distribution-api-version',
  'docker-ratelimit-source',
  'ratelimit-limit',
  'ratelimit-remaining',
  'warning',
];

/** An answer of upstream that is not content; it reaches the client as upstream gave it. */
export class UpstreamRefusal extends BreakwaterError {
  readonly body: Buffer;
  readonly host: string;

  constructor(code: ErrorCode, host: string, status: number, headers: OutgoingHttpHeaders, body: Buffer) {
    super(code, `${host} answered ${status}`, { status, headers });
    this.body = body;
    this.host = host;
  }
}

/** Reads a refusal to its end; its body is small or it is no refusal. */
export async function toRefusal(answer: UpstreamAnswer): Promise<UpstreamRefusal> {
  const body = await readSmallBody(answer.body, answer.host);
  const headers = pickHeaders(answer.headers, RELAYED);
  return new UpstreamRefusal(refusalCode(answer.status), answer.host, answer.status, headers, body);
}

function refusalCode(status: number): ErrorCode {
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return 'DENIED';
  if (status === 404) return 'UPSTREAM_NOT_FOUND';
  if (status === 429) return 'UPSTREAM_LIMITED';
  return 'UPSTREAM_STATUS';
}
