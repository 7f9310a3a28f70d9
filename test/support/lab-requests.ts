import { randomUUID } from 'node:crypto';
import type { Lab } from '../lab/lab.ts';
import type { Proxy, ProxyRequest } from '../lab/proxy.ts';

/** The access log since it was last forgotten. One more request, made now, has its line after all others. */
export async function settledRequests(lab: Lab, proxy: Proxy): Promise<readonly ProxyRequest[]> {
  const marker = `/v1/${randomUUID()}`;
  await lab.clients({ proxy: proxy.url, ca: proxy.ca }).curl.request(`https://ghcr.io${marker}`);
  await proxy.until(({ uri }) => uri === marker);
  return proxy.requests().filter(({ uri }) => uri?.startsWith('/v1/') !== true);
}

/**
 * What the registries and their CDN were asked about manifests and blobs, e.g. `HEAD manifests/1.0`.
 * Challenges are left out: clients without credentials ask for them, whatever is cached.
 */
export async function upstreamRequests({ hub, quay, ghcr, cdn }: Lab): Promise<string[]> {
  const registries = await Promise.all([hub, quay, ghcr].map((server) => server.requests()));
  const asked = registries
    .flat()
    .filter(({ status }) => status !== 401)
    .flatMap(({ method, path }) => {
      const [, object] = /\/((?:manifests|blobs)\/[^/?]+)$/.exec(path) ?? [];
      return object === undefined ? [] : [`${method} ${object}`];
    });
  return [...asked, ...(await cdn.requests()).map(({ method }) => `${method} CDN`)];
}
