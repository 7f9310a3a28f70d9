import { DOCKER_HUB, DOCKER_HUB_NAMES, DOCKER_HUB_REALM } from '../registry/docker-hub.ts';
import { urlHost, type RegistryHost } from '../registry/registry-host.ts';
import type { CredentialSource } from './credential-source.ts';
import type { Login } from './login.ts';

/** The credentials the proxy holds, by the host that they are for. */
export interface Credentials {
  /** Another number after each change, so that what was got with the old ones is not used for the new. */
  readonly generation: number;
  /** Milliseconds since the epoch. */
  readonly changedAt: number;
  /**
   * The login to show to exactly this host, if any is held.
   * @param repository what is asked about; without it, any identity of the host will do.
   * @throws `CREDENTIALS_UNAVAILABLE` where there should be one that cannot be had.
   */
  loginFor(host: string, repository: string | undefined): Promise<Login | undefined>;
  /**
   * The login to show to a token service in a registry's name. A registry's own credentials go only to a
   * service on its registrable domain, and those that are held for a service by its name also to the registries that
   * are listed: no other can have them sent, or a token made of them.
   */
  loginForRealm(
    registry: RegistryHost,
    realm: URL,
    repository: string | undefined,
  ): Promise<Login | undefined>;
  replace(sources: readonly CredentialSource[]): void;
}

/**
 * Holds none until they are put there. The list of public suffixes is read only where there are some to guard by it.
 * @param lists whether a host and port are a registry that the user listed.
 */
export function createCredentials(
  lists: (host: string, port: number) => boolean,
  now: () => number,
): Credentials {
  let sources: readonly CredentialSource[] = [];
  let generation = 0;
  let changedAt = now();

  const find = (host: string, repository: string | undefined): CredentialSource | undefined =>
    sources.find((source) => isFor(source, properName(host), repository)) ??
    (repository === undefined
      ? sources.find((source) => hostMatches(source.host, properName(host)))
      : undefined);

  /** Where only port 80 of a host is listed, what is held for the bare host is meant for it. */
  function heldName(name: string): string {
    if (!name.endsWith(':80')) return name;
    const host = name.slice(0, -':80'.length);
    return lists(host, 80) && !lists(host, 443) ? host : name;
  }

  return {
    get generation() {
      return generation;
    },
    get changedAt() {
      return changedAt;
    },
    async loginFor(host, repository) {
      const name = heldName(host);
      return find(name, repository)?.login(properName(name));
    },
    async loginForRealm(registry, realm, repository) {
      if (realm.protocol !== 'https:' && registry.scheme !== 'http') return undefined;
      const service = urlHost(realm);
      const serviceName = heldName(service.name);
      const found = find(serviceName, repository);
      // a pattern of hosts names no token service
      const named = found?.host.includes('*') === true ? undefined : found;
      const ownName = heldName(registry.name);
      const own = find(ownName, repository);
      if (own === undefined && named === undefined) return undefined;
      const isNear = await isSameDomain(registry.host, service.host);
      const ownLogin = (): Promise<Login | undefined> | undefined =>
        isNear ? own?.login(properName(ownName)) : undefined;
      const isNarrower = own?.repository !== undefined && named?.repository === undefined;
      if (named === undefined || (isNear && isNarrower)) return ownLogin();
      return isNear || lists(registry.host, registry.port) ? named.login(properName(serviceName)) : undefined;
    },
    replace(next) {
      sources = inOrder(next);
      generation += 1;
      changedAt = now();
    },
  };
}

/** Docker Hub's credentials are the same under each of its names, and for its token service. */
function properName(host: string): string {
  return host === DOCKER_HUB_REALM || DOCKER_HUB_NAMES.includes(host) ? DOCKER_HUB : host;
}

/** An exact host before a pattern, then one for some repositories before one for all; otherwise as they came. */
function inOrder(sources: readonly CredentialSource[]): readonly CredentialSource[] {
  const rank = ({ host, repository }: CredentialSource): number =>
    (host === '*' ? 4 : host.includes('*') ? 2 : 0) + (repository === undefined ? 1 : 0);
  return sources
    .map((source) => ({ ...source, host: properName(source.host) }))
    .toSorted((a, b) => rank(a) - rank(b));
}

function isFor(source: CredentialSource, host: string, repository: string | undefined): boolean {
  if (!hostMatches(source.host, host)) return false;
  if (source.repository === undefined) return true;
  return repository !== undefined && source.repository.matches(repository);
}

/** Label by label, as Kubernetes matches the hosts of image pull secrets. */
function hostMatches(pattern: string, host: string): boolean {
  if (pattern === host || pattern === '*') return true;
  if (!pattern.includes('*')) return false;
  const labels = host.split('.');
  const parts = pattern.split('.');
  return (
    parts.length === labels.length && parts.every((part, index) => part === '*' || part === labels[index])
  );
}

async function isSameDomain(a: string, b: string): Promise<boolean> {
  if (a === b) return true;
  const { getDomain } = await import('tldts');
  const domain = getDomain(a, { allowPrivateDomains: true });
  return domain !== null && domain === getDomain(b, { allowPrivateDomains: true });
}
