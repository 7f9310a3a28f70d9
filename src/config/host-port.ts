import { isIPv6 } from 'node:net';

/** A host and the port written behind it, if any; the host is in lower case and an IPv6 one has no brackets. */
export interface HostPort {
  readonly host: string;
  readonly port: number | undefined;
}

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const SHAPE = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/;

/** Parses `host`, `host:port`, `[v6]` or `[v6]:port`; undefined where `text` is none of them. */
export function parseHostPort(text: string): HostPort | undefined {
  const [whole, bracketed, bare = '', digits] = SHAPE.exec(text.toLowerCase()) ?? [];
  if (whole === undefined) return undefined;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && port > 65_535) return undefined;
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined;
  return bare.length <= 253 && NAME.test(bare) ? { host: bare, port } : undefined;
}
