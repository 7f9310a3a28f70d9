import type { RegistryHost } from '../registry/registry-host.ts';

/** One set of credentials that the proxy holds; `host` is a registry or the host of its token service. */
export interface Credential {
  readonly host: string;
  readonly username: string;
  readonly password: { reveal(): string };
}

/** The credentials the proxy holds, by the host that they are for. */
export interface Credentials {
  /** The `Authorization: Basic` value for requests to exactly this host, if any is held. */
  basicFor(host: string): string | undefined;
  /**
   * The value to send to a token service in a registry's name. A registry's own credentials go only to a
   * service on its registrable domain: a registry cannot have them sent to just any address.
   */
  basicForRealm(registry: RegistryHost, realm: URL): string | undefined;
}

/** The list of public suffixes is read only where there are credentials to guard by it. */
export async function createCredentials(held: readonly Credential[]): Promise<Credentials> {
  const getDomain = held.length === 0 ? () => null : (await import('tldts')).getDomain;
  const byHost = new Map(held.map((credential) => [credential.host.toLowerCase(), basic(credential)]));
  const sameDomain = (a: string, b: string): boolean => {
    const domain = getDomain(a, { allowPrivateDomains: true });
    return a === b || (domain !== null && domain === getDomain(b, { allowPrivateDomains: true }));
  };
  const basicFor = (host: string): string | undefined => byHost.get(host);
  return {
    basicFor,
    basicForRealm(registry, realm) {
      if (realm.protocol !== 'https:' && registry.scheme !== 'http') return undefined;
      const named = basicFor(realm.host) ?? basicFor(realm.hostname);
      if (named !== undefined) return named;
      return sameDomain(registry.host, realm.hostname) ? basicFor(registry.name) : undefined;
    },
  };
}

function basic({ username, password }: Credential): string {
  return `Basic ${Buffer.from(`${username}:${password.reveal()}`).toString('base64')}`;
}
