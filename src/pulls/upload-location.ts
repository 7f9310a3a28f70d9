import { registryUrl, urlHost, type RegistryHost } from '../registry/registry-host.ts';
import type { Exchange } from './exchange.ts';

/** An absolute http or https URL: its origin, and what follows. */
const ABSOLUTE = /^(https?):\/\/[^/?#]*/i;

/**
 * The address by which a client goes on with an upload. It stays what it is, query and all, unless it leads the
 * client past the proxy: a registry that is reached by another scheme than the client speaks names itself by that.
 */
export function uploadLocation({ registry, request }: Exchange, location: string): string {
  const [origin, scheme] = ABSOLUTE.exec(location) ?? [];
  if (origin === undefined || scheme === undefined || !URL.canParse(location)) return location;
  const clientScheme = 'encrypted' in request.socket ? 'https' : 'http';
  if (scheme.toLowerCase() === clientScheme || !isSameHost(registry, new URL(location))) return location;
  const rest = location.slice(origin.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** Stands for one upload wherever it is gone on with: what its address says beside the path is state that changes. */
export function uploadKey(registry: RegistryHost, target: string, location = ''): string | undefined {
  if (!URL.canParse(location, registryUrl(registry, target).href)) return undefined;
  const url = new URL(location, registryUrl(registry, target));
  return `${isSameHost(registry, url) ? registry.name : urlHost(url).name} ${url.pathname}`;
}

/** Whether a URL leads to a registry, be it that it names itself by another scheme, each at its usual port. */
function isSameHost(registry: RegistryHost, url: URL): boolean {
  const { host, port } = urlHost(url);
  if (host !== registry.host) return false;
  return port === registry.port || (url.port === '' && registryUrl(registry, '/').port === '');
}
