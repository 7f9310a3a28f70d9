import type { BreakwaterError } from '../registry/errors.ts';

/** A request that was turned away at the door. */
export interface Refusal {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly method: string;
  /** The path, or the `host:port` of a CONNECT. */
  readonly uri: string;
  /** The host that was asked for; blank for the proxy itself. */
  readonly host: string;
  readonly clientAddress: string;
  readonly user: string | undefined;
  readonly error: BreakwaterError;
}

/** Writes the line of a refusal, with the keys that a finished exchange has. */
export type RefusalLog = (refusal: Refusal) => void;

export function createRefusalLog(write: (line: string) => void): RefusalLog {
  return ({ at, method, uri, host, clientAddress, user, error }) => {
    const line = {
      access_time: new Date(at).toISOString(),
      upstream_cache_status: '',
      method,
      uri: uri.replace(/\?.*/s, ''),
      request_type: 'unknown',
      status: String(error.status),
      bytes_sent: '0',
      upstream_response_time: '',
      host,
      proxy_host: '',
      upstream: '',
      client: clientAddress,
      duration: '0.000',
      complete: 'true',
      ...(user === undefined ? {} : { user }),
      error: error.code,
      error_message: error.message,
    };
    write(`${JSON.stringify(line)}\n`);
  };
}
