import { parseHostPort } from './host-port.ts';
import { unquote } from './quotes.ts';
import { Secret } from './secret.ts';
import { settingError } from './setting.ts';

/** A proxy between us and the registries. */
export interface ProxyAddress {
  /** How it is spoken to; `socks5` is SOCKS 5, which resolves names itself. */
  readonly scheme: 'http' | 'https' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly login?: { readonly username: string; readonly password: Secret } | undefined;
}

const SCHEMES = {
  http: { scheme: 'http', port: 80 },
  https: { scheme: 'https', port: 443 },
  socks5: { scheme: 'socks5', port: 1080 },
  socks5h: { scheme: 'socks5', port: 1080 },
} as const;
const SHAPE = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:([^/]*)@)?([^@/]+)\/?$/i;
const MEND =
  'Write http://proxy:3128, https://proxy:3129 or socks5://proxy:1080, with user:password@ before the host where it wants a login; in those two write @, :, / and % as %40, %3A, %2F and %25.';
/** RFC 1929: a length is one byte. */
const LONGEST_SOCKS_LOGIN = 255;

/** Parses the address of a proxy, as curl and Go read it; undefined for a blank one. It never quotes what was written. */
export function parseProxyAddress(text: string): ProxyAddress | undefined {
  const address = unquote(text.trim());
  return address === '' ? undefined : parse(address);
}

/** The same for one proxy of a rule: `none` leads past every proxy. */
export function parseProxyOrNone(text: string): ProxyAddress | 'none' {
  return text.trim().toLowerCase() === 'none' ? 'none' : parse(text.trim());
}

/** The address without the login, fit to be shown. */
export function proxyName({ host, port }: ProxyAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parse(text: string): ProxyAddress {
  const [, name = 'http', login, place = ''] = SHAPE.exec(text) ?? [];
  const known = Object.entries(SCHEMES).find(([scheme]) => scheme === name.toLowerCase())?.[1];
  if (known === undefined) throw settingError('its scheme is none that is known', MEND);
  const address = parseHostPort(place);
  if (address === undefined || address.host === '')
    throw settingError('it is not the address of a proxy', MEND);
  const { scheme } = known;
  return {
    scheme,
    host: address.host,
    port: address.port ?? known.port,
    ...(login === undefined ? {} : { login: parseLogin(login, scheme) }),
  };
}

function parseLogin(text: string, scheme: ProxyAddress['scheme']): NonNullable<ProxyAddress['login']> {
  const colon = text.indexOf(':');
  const username = decode(colon < 0 ? text : text.slice(0, colon));
  const password = decode(colon < 0 ? '' : text.slice(colon + 1));
  if (
    scheme === 'socks5' &&
    [username, password].some((part) => Buffer.byteLength(part) > LONGEST_SOCKS_LOGIN)
  )
    throw settingError('its user or password is longer than SOCKS 5 allows', MEND);
  return { username, password: new Secret(password) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // a cause would quote it
    throw settingError('a % in its user or password begins no code', MEND);
  }
}
