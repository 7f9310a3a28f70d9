import * as v from 'valibot';
import { hostPortName } from '../registry/registry-host.ts';
import { parseGlob, type GlobMatcher } from './glob.ts';
import { parseHostPort, type HostPort } from './host-port.ts';
import { unquote } from './quotes.ts';
import { Secret } from './secret.ts';
import { settingError } from './setting.ts';
import { parsed, readList, StructureError, type StructureFault } from './structure.ts';

/** A user name and password for one host: a registry, or the token service that it names. */
export interface RegistryCredentials {
  /** `host` at port 443, otherwise `host:port`. */
  readonly host: string;
  /** The repositories they are for; undefined for all that no other entry of the host is for. */
  readonly repository?: GlobMatcher | undefined;
  readonly username: string;
  readonly password: Secret;
}

/** The entries that images of the reference carry as an example. */
const DUMMIES: ReadonlySet<string> = new Set([
  'some.authenticated.registry:oneuser:onepassword',
  'another.registry:user:password',
]);

const ONE_EACH = 'Keep one entry for each host and pattern.';
const BARE_HOST =
  'Write the bare host of the registry or of its token service, e.g. auth.docker.io, without https://.';

/**
 * Parses a list of `host:user:password` or `host/repository:user:password`; `between` divides the entries and `within` the parts of one.
 * The password may hold `within`. One pair of quotes is taken off the whole, each entry and each delimiter.
 * Throws `SETTING_INVALID`; its message names an entry by its position, never by what it holds.
 */
export function parseCredentialsList(
  text: string,
  between: string,
  within: string,
): readonly RegistryCredentials[] {
  const divider = unquote(between);
  const list = splitList(text.trim(), divider).map((entry, index) => ({
    entry: unquote(entry),
    place: `entry ${index + 1}`,
  }));
  const found = new Map<string, RegistryCredentials>();
  for (const { entry, place } of list) {
    if (DUMMIES.has(entry)) continue;
    const credentials = parseEntry(entry, unquote(within), place);
    const subject = subjectOf(credentials);
    if (found.has(subject)) throw settingError(`${place} repeats ${subject}`, ONE_EACH);
    found.set(subject, credentials);
  }
  return [...found.values()];
}

/** Reads a list of mappings with the keys `host`, `username` and `password`, and perhaps `repository`. */
export function readCredentials(value: unknown): readonly RegistryCredentials[] {
  const list = readList(value, {
    noun: 'entry',
    entries: {
      host: parsed(parseHost),
      repository: v.optional(parsed(parseGlob)),
      username: parsed(parseFilled),
      password: parsed(parseFilled),
    },
  });
  const subjects = list.map(subjectOf);
  const faults = subjects.flatMap((subject, index): readonly StructureFault[] => {
    if (subjects.indexOf(subject) === index) return [];
    return [{ at: [index, 'host'], reason: `entry ${index + 1} repeats ${subject}`, mend: ONE_EACH }];
  });
  if (faults.length > 0) throw new StructureError(faults);
  return list.map(({ host, repository, username, password }) => ({
    host,
    repository,
    username,
    password: new Secret(password),
  }));
}

/** What an entry is for, as people write it. */
function subjectOf({ host, repository }: Pick<RegistryCredentials, 'host' | 'repository'>): string {
  return repository === undefined ? `the host ${host}` : `${host}/${repository.source}`;
}

function splitList(text: string, divider: string): readonly string[] {
  const entries = splitBy(text, divider);
  const whole = unquote(text);
  // Quotes around each entry look like a pair around the whole; then the first entry has both of its own.
  const [first = ''] = entries;
  return whole === text || (entries.length > 1 && unquote(first) !== first)
    ? entries
    : splitBy(whole, divider);
}

/** A blank delimiter divides at any white space: folded YAML turns a space into a line end. */
function splitBy(text: string, divider: string): readonly string[] {
  const parts = divider.trim() === '' ? text.split(/\s+/) : text.split(divider);
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

function parseEntry(entry: string, within: string, place: string): RegistryCredentials {
  // an IPv6 address has colons of its own
  const [bracketed = ''] = /^\[[^\]]*\]/.exec(entry) ?? [];
  const parts = entry.slice(bracketed.length).split(within);
  // `host:5000:user:password`: a colon that divides the parts also divides host and port.
  const withPort = within === ':' && parts.length >= 4 && /^\d{1,5}(\/|$)/.test(parts[1] ?? '');
  const subject = bracketed + (withPort ? parts.slice(0, 2).join(':') : (parts[0] ?? ''));
  const [username, ...rest] = parts.slice(withPort ? 2 : 1);
  const password = rest.join(within);
  if (username === undefined || password === '') {
    throw settingError(
      `${place} does not have three parts divided by ${JSON.stringify(within)}`,
      `Write host${within}user${within}password; AUTH_REGISTRY_DELIMITER sets what divides the parts.`,
    );
  }
  const slash = subject.indexOf('/');
  const host = slash < 0 ? subject : subject.slice(0, slash);
  const address = parseHostPort(host);
  if (/^https?:\/\//i.test(entry) || address === undefined) {
    throw settingError(`the first part of ${place} is not a host name`, BARE_HOST);
  }
  const repository = slash < 0 ? undefined : parseGlob(subject.slice(slash + 1));
  return { host: nameOf(address), repository, username, password: new Secret(password) };
}

function parseHost(text: string): string {
  const address = parseHostPort(text);
  if (address === undefined) throw settingError('it is not a host name', BARE_HOST);
  return nameOf(address);
}

function nameOf({ host, port = 443 }: HostPort): string {
  return hostPortName(host, port);
}

function parseFilled(text: string): string {
  if (text === '') throw settingError('it is blank', 'Write it.');
  return text;
}
