import { BreakwaterError } from '../../registry/errors.ts';

/** Where a CONNECT wants to go. */
export interface ConnectTarget {
  /** A name or an address, lower case, without brackets. */
  readonly host: string;
  readonly port: number;
}

const TARGET = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?)):(\d{1,5})$/i;

/** Parses the authority-form of a CONNECT request (RFC 9110, 9.3.6) or throws `CONNECT_TARGET_INVALID`. */
export function parseConnectTarget(text: string): ConnectTarget {
  const [, address, name, digits] = TARGET.exec(text) ?? [];
  const host = address ?? name?.replace(/\.$/, '');
  const port = Number(digits);
  if (host === undefined || host.length > 253 || port < 1 || port > 65_535) {
    throw new BreakwaterError(
      'CONNECT_TARGET_INVALID',
      // what stands before an @ may be a password
      `CONNECT needs host:port, got ${JSON.stringify(text.replace(/^.*@/s, '').slice(0, 200))}`,
    );
  }
  return { host: host.toLowerCase(), port };
}
