import { BlockList, isIP, isIPv6 } from 'node:net';
import { settingError } from './setting.ts';
import { readWords } from './structure.ts';

/** A set of IP addresses and networks. */
export interface AddressSet {
  /** As the user wrote them. */
  readonly sources: readonly string[];
  /** Whether an address is in it; an IPv4 address that is mapped into IPv6 is the same one. False for what is none. */
  has(address: string): boolean;
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const BITS = { 4: 32, 6: 128 } as const;
const MAPPED_BITS = 96;

/** Parses addresses and networks in CIDR notation, divided by white space or commas. */
export function parseAddressSet(text: string): AddressSet {
  return addressSet(text.split(/[\s,]+/).filter((word) => word !== ''));
}

/** Reads a list of addresses and networks. */
export function readAddressSet(value: unknown): AddressSet {
  return addressSet(
    readWords(value, 'address', (word) => {
      parseNetwork(word);
      return word;
    }),
  );
}

/** @throws `SETTING_INVALID` for what is neither address nor network. */
export function addressSet(sources: readonly string[]): AddressSet {
  // apart: in one list a network of IPv6 would take in IPv4 too
  const lists = { 4: new BlockList(), 6: new BlockList() } as const;
  for (const { address, family, bits } of sources.map(parseNetwork)) {
    lists[family].addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  }
  return {
    sources,
    has(address) {
      const plain = plainAddress(address);
      const family = isIP(plain);
      if (family === 4) return lists[4].check(plain, 'ipv4');
      return family === 6 && lists[6].check(plain, 'ipv6');
    },
  };
}

/** The addresses of this very machine. */
export const LOOPBACK = addressSet(['127.0.0.0/8', '::1']);

/** An address without its zone, in its one spelling; an IPv4 address that is mapped into IPv6 is itself again. */
export function plainAddress(address: string): string {
  const [bare = ''] = address.split('%');
  if (!isIPv6(bare)) return bare;
  const canonical = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical) ?? [];
  return high === undefined || low === undefined ? canonical : dotted(high, low);
}

/** The IPv4 address of two groups of an IPv6 one. */
export function dotted(high: string, low: string): string {
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}

interface Network {
  readonly address: string;
  readonly family: 4 | 6;
  readonly bits: number;
}

function parseNetwork(text: string): Network {
  const [, written = '', digits] = /^\[?([^/\][]*)\]?(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const family = isIP(written);
  const bits = digits === undefined ? undefined : Number(digits);
  if ((family === 4 || family === 6) && !written.includes('%') && (bits ?? 0) <= BITS[family]) {
    const mapped = MAPPED.test(written) && (bits ?? BITS[6]) >= MAPPED_BITS;
    if (mapped) return { address: plainAddress(written), family: 4, bits: (bits ?? BITS[6]) - MAPPED_BITS };
    return { address: written, family, bits: bits ?? BITS[family] };
  }
  throw settingError(
    `${JSON.stringify(text)} is neither an address nor a network`,
    'Write e.g. 192.0.2.7, 10.0.0.0/8 or fd00::/8; a name cannot stand here.',
  );
}
