/** A registry as the way out sees it; its `name` is its identity in the cache, the rules and the logs. */
export interface RegistryHost {
  /** `host`, or `host:port` where the port is not the scheme's own: `quay.io`, `registry.local:5000`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly scheme: 'https' | 'http';
}

const DEFAULT_PORT = { https: 443, http: 80 } as const;

/** Makes the value from its parts; the host is lower-cased, as names in DNS have no case. */
export function registryHost(host: string, port: number, scheme: 'https' | 'http' = 'https'): RegistryHost {
  const lower = host.toLowerCase();
  const name = port === DEFAULT_PORT[scheme] ? lower : `${lower}:${port}`;
  return { name, host: lower, port, scheme };
}

/** The URL of a path on a registry; `path` is origin-form, query included, and is not decoded. */
export function registryUrl(registry: RegistryHost, path: string): URL {
  const host = registry.host.includes(':') ? `[${registry.host}]` : registry.host;
  return new URL(`${registry.scheme}://${host}:${registry.port}${path}`);
}
