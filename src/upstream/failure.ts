import { BreakwaterError, type ErrorCode } from '../registry/errors.ts';
import { tlsFailure } from './tls/failure.ts';

const CODE_OF: Readonly<Record<string, ErrorCode>> = {
  ENOTFOUND: 'UPSTREAM_DNS',
  EAI_AGAIN: 'UPSTREAM_DNS',
  EAI_FAIL: 'UPSTREAM_DNS',
  ENODATA: 'UPSTREAM_DNS',
  DNS_TIMEOUT: 'UPSTREAM_DNS',
  ECONNREFUSED: 'UPSTREAM_CONNECT',
  EHOSTUNREACH: 'UPSTREAM_CONNECT',
  ENETUNREACH: 'UPSTREAM_CONNECT',
  EADDRNOTAVAIL: 'UPSTREAM_CONNECT',
  ETIMEDOUT: 'UPSTREAM_CONNECT',
  UND_ERR_HEADERS_TIMEOUT: 'UPSTREAM_TIMEOUT',
  UND_ERR_BODY_TIMEOUT: 'UPSTREAM_TIMEOUT',
  UND_ERR_SOCKET: 'UPSTREAM_RESET',
  ECONNRESET: 'UPSTREAM_RESET',
  EPIPE: 'UPSTREAM_RESET',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'UPSTREAM_RESET',
  UND_ERR_HEADERS_OVERFLOW: 'UPSTREAM_PROTOCOL',
};

/** Names what went wrong on the way to `host`; the cause is kept for the log. */
export function upstreamFailure(thrown: unknown, host: string): BreakwaterError {
  if (thrown instanceof BreakwaterError) return thrown;
  const tls = tlsFailure(thrown, host);
  if (tls !== undefined) return tls;
  const code = errorCode(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new BreakwaterError(failureCode(code, message), `${host}: ${message || code}`, { cause: thrown });
}

function failureCode(code: string, message: string): ErrorCode {
  const known = CODE_OF[code];
  if (known !== undefined) return known;
  return code.startsWith('HPE_') || MALFORMED.test(message) ? 'UPSTREAM_PROTOCOL' : 'UPSTREAM_RESET';
}

/** undici's parser names no code where an answer breaks the grammar. */
const MALFORMED = /^Response does not match the HTTP\/1\.1 protocol/;

function errorCode(thrown: unknown): string {
  // an AggregateError of happy eyeballs carries the codes in its parts
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return errorCode(thrown.errors[0]);
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return '';
}
