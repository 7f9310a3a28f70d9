/** A user name and password as a client sent them. */
export interface Login {
  readonly name: string;
  readonly password: string;
}

/** The scheme that is offered (RFC 7617). */
export const PROXY_CHALLENGE = 'Basic realm="Breakwater", charset="UTF-8"';

/** Parses `Proxy-Authorization`; undefined where it is no Basic login. */
export function parseProxyAuthorization(value: string): Login | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/_-]+=*) *$/i.exec(value) ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  // a hash would end at a NUL, and more passwords than one fit it
  if (colon < 1 || text.includes('\0')) return undefined;
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
