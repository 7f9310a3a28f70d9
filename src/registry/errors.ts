import type { OutgoingHttpHeaders } from 'node:http';
import { kind, type ErrorKind, type ErrorSource } from './error-kind.ts';
import { nameOf } from './trace.ts';

/** Every failure Breakwater can name, declared once; `docs/reference/errors.md` lists exactly these. */
export const ERRORS = {
  NAME_INVALID: kind(
    400,
    'NAME_INVALID',
    'client',
    false,
    'The repository name breaks the grammar of the distribution spec.',
  ),
  TAG_INVALID: kind(
    400,
    'MANIFEST_INVALID',
    'client',
    false,
    'The tag breaks the grammar of the distribution spec.',
  ),
  DIGEST_INVALID: kind(
    400,
    'DIGEST_INVALID',
    'client',
    false,
    'The digest is malformed or of an unsupported algorithm (sha256 and sha512 are supported).',
  ),
  PATH_INVALID: kind(400, 'UNSUPPORTED', 'client', false, 'The request path cannot be decoded.'),
  REQUEST_MALFORMED: kind(400, 'UNSUPPORTED', 'client', false, 'The bytes received are not an HTTP request.'),
  HEADERS_TOO_LARGE: kind(431, 'UNSUPPORTED', 'client', false, 'The request headers exceed 128 KB.'),
  REQUEST_TIMEOUT: kind(
    408,
    'UNSUPPORTED',
    'client',
    true,
    'The client did not send its request in time (CLIENT_HEADER_TIMEOUT, CLIENT_BODY_TIMEOUT).',
  ),
  REQUEST_CUT: kind(
    400,
    'UNSUPPORTED',
    'client',
    true,
    'The client left before its request was complete or answered.',
  ),
  RANGE_NOT_SATISFIABLE: kind(
    416,
    'SIZE_INVALID',
    'client',
    false,
    'No byte of the requested range exists in the object.',
  ),
  NOT_FOUND: kind(404, 'UNSUPPORTED', 'client', false, 'Nothing is served at this path.'),
  METHOD_NOT_ALLOWED: kind(405, 'UNSUPPORTED', 'client', false, 'The method is not allowed here.'),
  PUSH_DISABLED: kind(
    405,
    'UNSUPPORTED',
    'client',
    false,
    "Pushing through the proxy is off, or off without credentials of the client's own; ALLOW_PUSH=true or ALLOW_PUSH_WITH_OWN_AUTH=true allows it.",
  ),
  PUSH_INTERRUPTED: kind(
    503,
    'UNAVAILABLE',
    'upstream',
    true,
    "The registry stopped to accept the proxy's token in the middle of a push that is not spooled; the next try has a new one.",
  ),
  V1_UNSUPPORTED: kind(
    405,
    'UNSUPPORTED',
    'client',
    false,
    'The v1 registry protocol is not supported: use a client that speaks v2.',
  ),
  CONNECT_TARGET_INVALID: kind(
    400,
    'UNSUPPORTED',
    'client',
    false,
    'CONNECT needs a target of the form host:port.',
  ),
  ACCESS_DENIED: kind(
    403,
    'DENIED',
    'client',
    false,
    'This client or user may not use the proxy for that (ALLOW_CLIENTS, DENY_CLIENTS, ACCESS_RULES).',
  ),
  LOGIN_REQUIRED: kind(
    407,
    'UNAUTHORIZED',
    'client',
    false,
    'The proxy wants a user and password (PROXY_USERS_FILE) that the request does not carry, or they are wrong.',
  ),
  CONNECTIONS_EXHAUSTED: kind(503, 'UNAVAILABLE', 'client', true, 'MAX_CONNECTIONS(_PER_CLIENT) are open.'),
  LOGIN_BUSY: kind(503, 'UNAVAILABLE', 'internal', true, 'Too many passwords wait to be checked.'),
  TUNNEL_REFUSED: kind(
    403,
    'DENIED',
    'client',
    false,
    'The target of a tunnel or of a plain-HTTP request is one that clients may not reach (TUNNEL_ALLOW, TUNNEL_DENY, ALLOW_LOCAL_ADDRESSES).',
  ),
  UNAUTHORIZED: kind(
    401,
    'UNAUTHORIZED',
    'client',
    false,
    'The registry wants credentials that the request does not carry.',
  ),
  DENIED: kind(403, 'DENIED', 'client', false, 'The registry refuses these credentials for this repository.'),
  PRIVATE_DENIED: kind(
    403,
    'DENIED',
    'client',
    false,
    "Only the proxy's own credentials open the image, and PRIVATE_IMAGES=deny keeps it from clients without any.",
  ),
  UPSTREAM_DNS: kind(502, 'UNKNOWN', 'upstream', true, "The registry's name does not resolve."),
  UPSTREAM_CONNECT: kind(502, 'UNKNOWN', 'upstream', true, 'No connection to the registry could be made.'),
  UPSTREAM_TLS: kind(
    502,
    'UNKNOWN',
    'upstream',
    false,
    'No TLS with the registry: its certificate was not accepted (EXTRA_CA_FILE, EXTRA_CA_DIR and CONNECTION_RULES add a private CA), it does not speak TLS on this port, or it refused the handshake; the message tells which.',
  ),
  UPSTREAM_PROXY: kind(
    502,
    'UNKNOWN',
    'upstream',
    true,
    'A proxy on the way to the registry (HTTPS_PROXY, HTTP_PROXY, CONNECTION_RULES) cannot be reached, refuses, wants another login, or does not reach the registry.',
  ),
  PROXY_LOOP: kind(
    508,
    'UNSUPPORTED',
    'client',
    false,
    'The request came from this very proxy: HTTPS_PROXY or HTTP_PROXY in its own environment leads back to it.',
  ),
  UPSTREAM_TIMEOUT: kind(
    504,
    'UNKNOWN',
    'upstream',
    true,
    'The registry did not answer while its client waited, sent nothing for PROXY_READ_TIMEOUT, or took nothing of a request for PROXY_SEND_TIMEOUT.',
  ),
  UPSTREAM_RESET: kind(
    502,
    'UNKNOWN',
    'upstream',
    true,
    'The registry closed the connection before its answer was complete.',
  ),
  UPSTREAM_PROTOCOL: kind(
    502,
    'UNKNOWN',
    'upstream',
    false,
    'The registry sent something that is not a valid answer.',
  ),
  UPSTREAM_NOT_FOUND: kind(404, 'MANIFEST_UNKNOWN', 'upstream', false, 'The registry does not have it.'),
  UPSTREAM_LIMITED: kind(
    429,
    'TOOMANYREQUESTS',
    'upstream',
    true,
    'The registry limits how often it may be asked, and nothing in the cache can answer instead.',
  ),
  UPSTREAM_OFFLINE: kind(
    504,
    'UNAVAILABLE',
    'upstream',
    true,
    'The proxy is set to OFFLINE=true and the cache does not have it.',
  ),
  UPSTREAM_STATUS: kind(502, 'UNKNOWN', 'upstream', true, 'The registry answered with an unexpected status.'),
  UPSTREAM_REDIRECTS: kind(
    502,
    'UNKNOWN',
    'upstream',
    false,
    'The registry redirected more than ten times, or to an address that cannot be followed.',
  ),
  UPSTREAM_ADDRESS: kind(
    502,
    'UNKNOWN',
    'upstream',
    false,
    "A registry's redirect or token service leads to an address that it must not name, such as loopback or cloud metadata (ALLOW_LOCAL_ADDRESSES).",
  ),
  UPSTREAM_TOKEN: kind(
    502,
    'UNAUTHORIZED',
    'upstream',
    true,
    "The registry's token service gave no usable token.",
  ),
  CREDENTIALS_UNAVAILABLE: kind(
    503,
    'UNAVAILABLE',
    'upstream',
    true,
    'The credentials that the proxy holds for a registry could not be had: a credential helper or a cloud did not give them.',
  ),
  DIGEST_MISMATCH: kind(
    502,
    'DIGEST_INVALID',
    'upstream',
    true,
    'The bytes received do not hash to the digest that was asked for; nothing was stored.',
  ),
  SIZE_MISMATCH: kind(
    502,
    'SIZE_INVALID',
    'upstream',
    true,
    'The registry sent fewer or more bytes than it announced; nothing was stored.',
  ),
  TUNNEL_FAILED: kind(502, 'UNKNOWN', 'upstream', true, 'The target of a tunnel could not be reached.'),
  STORE_UNAVAILABLE: kind(500, 'UNKNOWN', 'internal', true, 'The cache could not be read or written.'),
  INTERNAL: kind(
    500,
    'UNKNOWN',
    'internal',
    false,
    'An unexpected failure inside Breakwater; the log has its trace.',
  ),
  SHUTTING_DOWN: kind(
    503,
    'UNAVAILABLE',
    'internal',
    true,
    'The proxy is draining and takes no new requests.',
  ),
  SETTING_INVALID: kind(500, 'UNKNOWN', 'configuration', false, 'A setting has a value that cannot be used.'),
  CA_UNUSABLE: kind(
    500,
    'UNKNOWN',
    'configuration',
    false,
    'The certificate authority cannot be read or used.',
  ),
  CACHE_UNUSABLE: kind(500, 'UNKNOWN', 'configuration', false, 'The cache folder cannot be opened.'),
  LISTEN_FAILED: kind(500, 'UNKNOWN', 'configuration', false, 'The listen address cannot be bound.'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

interface ErrorOptions {
  readonly cause?: unknown;
  /** Status to send where it differs from the catalogue's, e.g. upstream's own. */
  readonly status?: number;
  /** Headers the answer must carry, e.g. `WWW-Authenticate` or `Content-Range`. */
  readonly headers?: OutgoingHttpHeaders;
  /** How to mend it, one line. */
  readonly mend?: string;
}

/** A named failure: `code` is stable, `message` is for people and never holds a secret. */
export class BreakwaterError extends Error {
  override readonly name = 'BreakwaterError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly mend: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? ERRORS[code].status;
    this.headers = options.headers ?? {};
    this.mend = options.mend;
  }

  get source(): ErrorSource {
    return ERRORS[this.code].source;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** Turns anything thrown into a named failure; what has no name becomes `INTERNAL`, its cause kept. */
export function asBreakwaterError(thrown: unknown): BreakwaterError {
  if (thrown instanceof BreakwaterError) return thrown;
  return new BreakwaterError('INTERNAL', `unexpected failure: ${nameOf(thrown)}`, { cause: thrown });
}

/** The JSON body of an error answer (distribution-spec, "Error Codes"). */
export function ociErrorBody(error: BreakwaterError): string {
  const detail = error.mend === undefined ? { reason: error.code } : { reason: error.code, mend: error.mend };
  return JSON.stringify({ errors: [{ code: ERRORS[error.code].oci, message: error.message, detail }] });
}
