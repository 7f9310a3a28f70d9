import { parseHostPort } from './host-port.ts';
import { settingError } from './setting.ts';
import { readWords } from './structure.ts';

/** Where a listener binds; port 0 lets the system choose one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** A socket in the file system, in place of an address. */
interface ListenPath {
  readonly path: string;
}

export type ListenPlace = ListenAddress | ListenPath;

const EVERY_ADDRESS = '0.0.0.0';

/** Parses a list of addresses and of `unix:/path`, divided by white space or commas. */
export function parseListenPlaces(text: string): readonly ListenPlace[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  if (words.length === 0) return [parseListenAddress(text)];
  return words.map((word) => {
    const [, path] = /^unix:(\/.+)$/.exec(word) ?? [];
    return path === undefined ? parseListenAddress(word) : { path };
  });
}

/** Reads a list of the same, one an entry. */
export function readListenPlaces(value: unknown): readonly ListenPlace[] {
  return readWords(value, 'address', parseListenPlaces).flat();
}

/** Parses `3128`, `:3128`, `host:3128` or `[::]:3128`; without a host every IPv4 address is meant. */
export function parseListenAddress(text: string): ListenAddress {
  const [, alone] = /^:?(\d{1,5})$/.exec(text.trim()) ?? [];
  const address = parseHostPort(alone === undefined ? text.trim() : `${EVERY_ADDRESS}:${alone}`);
  if (address?.port === undefined) {
    throw settingError(
      'it is not a listen address',
      'Write host:port, e.g. 0.0.0.0:3128 or [::]:3128; LISTEN takes several, and unix:/path.',
    );
  }
  return { host: address.host, port: address.port };
}
