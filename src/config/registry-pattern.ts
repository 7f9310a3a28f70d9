import { plainHost } from '../registry/registry-host.ts';
import { parseHostPort } from './host-port.ts';
import { settingError } from './setting.ts';
import { readWords } from './structure.ts';

/** How the proxy speaks to a registry. */
type RegistryScheme = 'https' | 'http';

/** One entry of `REGISTRIES`: which hosts are intercepted, at which port, and how they are spoken to. */
export interface RegistryPattern {
  /** `exact`: the host itself; `below`: every name under it; `domain`: both. */
  readonly match: 'exact' | 'below' | 'domain';
  readonly host: string;
  readonly port: number;
  readonly scheme: RegistryScheme;
}

/** Tells whether a host and port, as a CONNECT names them, belong to a registry; called once a connection. */
export interface RegistryMatcher {
  (host: string, port: number): boolean;
  /** How a registry is spoken to upstream; undefined where the host and port are no registry's. */
  schemeFor(host: string, port: number): RegistryScheme | undefined;
  /** Whether an entry has the whole name, not only the end of it, which is in other hands. */
  names(host: string, port: number): boolean;
}

/** Intercepted whatever `REGISTRIES` says; the first is the name by which clients can reach the proxy itself. */
const ALWAYS_INTERCEPTED = [
  'docker.caching.proxy.internal',
  'registry-1.docker.io',
  'auth.docker.io',
] as const;

const ENTRY = /^(?:(https?):\/\/)?(\*\.|\.)?(.+?)\/?$/i;
const DEFAULT_PORT = { https: 443, http: 80 } as const;

/** Parses a list of patterns, divided by white space or commas. */
export function parseRegistryPatterns(text: string): readonly RegistryPattern[] {
  return text
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map(parseRegistryPattern);
}

/** Reads a list of patterns, one an entry. */
export function readRegistryPatterns(value: unknown): readonly RegistryPattern[] {
  return readWords(value, 'registry', parseRegistryPattern);
}

/**
 * Parses `host`, `host:port`, `*.suffix`, `.suffix` or `http://host:port`.
 * The port is 443 where none is written, 80 behind `http://`. Source of the wildcards: nginx `map … hostnames`.
 */
export function parseRegistryPattern(entry: string): RegistryPattern {
  const [, prefix = 'https', wildcard, rest = ''] = ENTRY.exec(entry) ?? [];
  const address = parseHostPort(rest);
  if (address === undefined) {
    throw settingError(
      `${JSON.stringify(entry)} is not a registry`,
      'Write host, host:port, *.suffix, .suffix or http://host:port, divided by spaces.',
    );
  }
  const scheme = prefix.toLowerCase() === 'http' ? 'http' : 'https';
  const match = wildcard === undefined ? 'exact' : wildcard === '.' ? 'domain' : 'below';
  return { match, host: plainHost(address.host), port: address.port ?? DEFAULT_PORT[scheme], scheme };
}

/** Compiles patterns, and the names that are always intercepted; an exact entry beats a suffix, a longer suffix a shorter. */
export function createRegistryMatcher(patterns: readonly RegistryPattern[]): RegistryMatcher {
  const always = ALWAYS_INTERCEPTED.map(parseRegistryPattern);
  const exact = new Map<string, RegistryScheme>();
  for (const { match, host, port, scheme } of [...patterns, ...always]) {
    if (match !== 'below') exact.set(`${host}:${port}`, scheme);
  }
  const suffixes = patterns
    .filter(({ match }) => match !== 'exact')
    .map(({ host, port, scheme }) => ({ suffix: `.${host}`, port, scheme }))
    .sort((a, b) => b.suffix.length - a.suffix.length);

  function schemeFor(host: string, port: number): RegistryScheme | undefined {
    const name = plainHost(host);
    const scheme = exact.get(`${name}:${port}`);
    if (scheme !== undefined) return scheme;
    for (const entry of suffixes) {
      if (entry.port === port && name.endsWith(entry.suffix)) return entry.scheme;
    }
    return undefined;
  }
  return Object.assign((host: string, port: number) => schemeFor(host, port) !== undefined, {
    schemeFor,
    names: (host: string, port: number) => exact.has(`${plainHost(host)}:${port}`),
  });
}
