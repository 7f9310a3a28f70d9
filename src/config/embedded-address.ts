import { isIPv6 } from 'node:net';
import { dotted, plainAddress } from './address-set.ts';

/**
 * The address itself, plain, and the IPv4 one that a gateway may take it for: NAT64 (RFC 6052, 8215), 6to4
 * (RFC 3056), IPv4-compatible (RFC 4291, 2.5.5.1) and IPv4-translated (RFC 2765).
 */
export function addressAndEmbedded(address: string): readonly string[] {
  const plain = plainAddress(address);
  if (!isIPv6(plain)) return [plain];
  const groups = groupsOf(plain);
  const [first = '', second = '', third = ''] = groups;
  const end = dotted(groups[6] ?? '0', groups[7] ?? '0');
  const leading = groups.slice(0, 6).join(':');
  const nat64 = first === '64' && second === 'ff9b';
  if (nat64 || leading === '0:0:0:0:0:0' || leading === '0:0:0:0:ffff:0') return [plain, end];
  return first === '2002' ? [plain, dotted(second, third)] : [plain];
}

/** The eight groups of an IPv6 address in its one spelling. */
function groupsOf(canonical: string): readonly string[] {
  const [left = '', right] = canonical.split('::');
  const before = left === '' ? [] : left.split(':');
  if (right === undefined) return before;
  const after = right === '' ? [] : right.split(':');
  const zeros: string[] = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after];
}
