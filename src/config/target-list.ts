import { isIP } from 'node:net';
import { addressSet, plainAddress, type AddressSet } from './address-set.ts';
import { parseGlob } from './glob.ts';
import { settingError } from './setting.ts';
import { readWords } from './structure.ts';

/** One entry of a list of targets: hosts by name or by address, at some ports. */
export interface TargetPattern {
  /** As the user wrote it. */
  readonly source: string;
  readonly host:
    | { readonly kind: 'any' }
    | { readonly kind: 'name'; readonly matches: (name: string) => boolean }
    | { readonly kind: 'addresses'; readonly set: AddressSet };
  readonly hasPort: (port: number) => boolean;
}

/** The host without brackets or with them, an optional network size, an optional port or range. */
const ENTRY = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\*|\d{1,5}(?:-\d{1,5})?))?$/;
const MEND =
  'Write host, *.suffix, .suffix, an address or a network, each with :port, :low-high or neither, e.g. *.example.com:443.';

/** Parses a list of targets, divided by white space or commas. */
export function parseTargets(text: string): readonly TargetPattern[] {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(parseTarget);
}

/** Reads a list of targets, one an entry. */
export function readTargets(value: unknown): readonly TargetPattern[] {
  return readWords(value, 'target', parseTarget);
}

/** Without a port every port is meant, without a host every host. */
function parseTarget(entry: string): TargetPattern {
  const source = entry.trim();
  const [whole, bracketed, bare = '', ports = '*'] = ENTRY.exec(source) ?? [];
  const [low = 0, high = low] = ports === '*' ? [0, 65_535] : ports.split('-').map(Number);
  if (whole === undefined || source === '' || low > high || high > 65_535) throw notTarget(entry);
  const host = parseHost(bracketed ?? bare);
  if (host === undefined || (bracketed !== undefined && host.kind !== 'addresses')) throw notTarget(entry);
  return { source, host, hasPort: (port) => port >= low && port <= high };
}

function parseHost(text: string): TargetPattern['host'] | undefined {
  if (text === '' || text === '*') return { kind: 'any' };
  if (isIP(text.replace(/\/\d+$/, '')) !== 0) return { kind: 'addresses', set: addressSet([text]) };
  const name = text.toLowerCase();
  if (!/^[a-z0-9_.*-]+$/.test(name)) return undefined;
  if (name.startsWith('.')) {
    return { kind: 'name', matches: (host) => host === name.slice(1) || host.endsWith(name) };
  }
  const glob = parseGlob(name);
  return { kind: 'name', matches: (host) => glob.matches(host) };
}

/** Whether an entry names this host and port by its name, or by its address where it is one. */
export function namesTarget({ host, hasPort }: TargetPattern, name: string, port: number): boolean {
  if (!hasPort(port)) return false;
  if (host.kind === 'any') return true;
  return host.kind === 'name' ? host.matches(name) : host.set.has(plainAddress(name));
}

function notTarget(entry: string): Error {
  return settingError(`${JSON.stringify(entry)} is no target`, MEND);
}
