import { isIPv4, isIPv6 } from 'node:net';
import { BreakwaterError } from '../registry/errors.ts';

/** A host that a certificate can name; `text` is its one spelling, lower-case and without brackets. */
interface HostName {
  readonly text: string;
  /** The four or sixteen bytes of an address; undefined for a name. */
  readonly address: Buffer | undefined;
}

/** RFC 1123 labels; underscores too, as service names of compose files have them. */
const LABELS = /^(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*$/;
const MAX_NAME_LENGTH = 253;

/**
 * Reads the host of a CONNECT target or a server name: a DNS name, an IPv4 or an IPv6 address.
 * @throws `CONNECT_TARGET_INVALID`
 */
export function parseHostName(host: string): HostName {
  const bare = /^\[(.+)\]$/.exec(host)?.[1] ?? host;
  if (isIPv4(bare)) return { text: bare, address: Buffer.from(bare.split('.').map(Number)) };
  // A zone (`fe80::1%eth0`) means something on one machine only.
  if (isIPv6(bare) && !bare.includes('%')) return ipv6(bare);
  const name = bare.toLowerCase().replace(/\.$/, '');
  const numeric = /(?:^|\.)\d+$/.test(name);
  if (bare === host && name.length <= MAX_NAME_LENGTH && LABELS.test(name) && !numeric) {
    return { text: name, address: undefined };
  }
  throw new BreakwaterError(
    'CONNECT_TARGET_INVALID',
    `${JSON.stringify(host.slice(0, 80))} is neither a host name nor an IP address.`,
    { mend: 'Use the name of the registry, such as quay.io, or its address.' },
  );
}

function ipv6(text: string): HostName {
  // The URL parser gives the canonical spelling (RFC 5952), without an IPv4 tail.
  const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const left = groups(head);
  const right = groups(tail ?? '');
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  const address = Buffer.alloc(16);
  [...left, ...zeros, ...right].forEach((group, index) => address.writeUInt16BE(group, index * 2));
  return { text: canonical, address };
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}
