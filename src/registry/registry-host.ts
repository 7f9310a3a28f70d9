/** A registry as the way out sees it; its `name` is its identity in the cache, the rules and the logs. */
export interface RegistryHost {
  /** `host` at port 443, and `host:port` at any other, so that no two ports have one name: `quay.io`, `[::1]:5000`. */
  readonly name: string;
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  readonly scheme: 'https' | 'http';
}

const DEFAULT_PORT = { https: 443, http: 80 } as const;

/** Makes the value from its parts. */
export function registryHost(host: string, port: number, scheme: 'https' | 'http' = 'https'): RegistryHost {
  const plain = plainHost(host);
  return { name: hostPortName(plain, port), host: plain, port, scheme };
}

/** The host and port of a URL, in the form of a registry's name. */
export function urlHost(url: URL): RegistryHost {
  const scheme = url.protocol === 'http:' ? 'http' : 'https';
  return registryHost(url.hostname, url.port === '' ? DEFAULT_PORT[scheme] : Number(url.port), scheme);
}

/** The one name of a host and port; 443 goes without saying. */
export function hostPortName(host: string, port: number): string {
  const plain = plainHost(host);
  const shown = plain.includes(':') ? `[${plain}]` : plain;
  return port === DEFAULT_PORT.https ? shown : `${shown}:${port}`;
}

/** A host in its one spelling: names have no case and may end in a dot, IPv6 addresses have many forms (RFC 5952). */
export function plainHost(host: string): string {
  const lower = host.toLowerCase();
  const bare = lower.startsWith('[') && lower.endsWith(']') ? lower.slice(1, -1) : lower;
  if (!bare.includes(':')) return bare.endsWith('.') ? bare.slice(0, -1) : bare;
  // an address with a zone is none to the URL parser, and is what it is
  const literal = `http://[${bare}]`;
  return URL.canParse(literal) ? new URL(literal).hostname.slice(1, -1) : bare;
}

/** The URL of a path on a registry; `path` is origin-form, query included, and is not decoded. */
export function registryUrl(registry: RegistryHost, path: string): URL {
  const host = registry.host.includes(':') ? `[${registry.host}]` : registry.host;
  return new URL(`${registry.scheme}://${host}:${registry.port}${path}`);
}
