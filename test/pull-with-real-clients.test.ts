import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clients } from './lab/clients/clients.ts';
import type { Credentials } from './lab/users.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy, type ProxyRequest } from './lab/proxy.ts';
import { ALICE } from './lab/users.ts';
import { settledRequests, upstreamRequests } from './support/lab-requests.ts';

let lab: Lab;
let proxy: Proxy;
let clients: Clients;

beforeAll(async () => {
  lab = await startLab();
  // all proxies have one authority, so that the clients need not be told of each
  proxy = await startProxy(lab);
  clients = lab.clients({ proxy: proxy.url, ca: proxy.ca });
});

afterAll(async () => {
  await lab?.down();
});

/** A tag is checked whenever it is asked for, however quick one pull follows another. */
const EVERY_TAG = { TAG_CHECK_INTERVAL: '0' };

/** An image on each kind of registry, and what its client needs to pull it. */
const IMAGES: readonly { name: string; image: keyof Lab['images']; credentials?: Credentials }[] = [
  { name: 'several platforms, Hub with tokens and a CDN', image: 'multi' },
  { name: "Docker's media types, Hub with tokens and a CDN", image: 'multiDocker' },
  { name: 'one platform, Hub with tokens and a CDN', image: 'single' },
  { name: 'one platform, ghcr without credentials', image: 'ghcrApp' },
  { name: 'one platform, quay with Basic credentials', image: 'quayApp', credentials: ALICE },
];

describe.each(['skopeo', 'podman', 'docker', 'containerd'] as const)('%s', (name) => {
  test.each(IMAGES)('$name: cold, then warm by tag and by digest', async ({ image, credentials }) => {
    await freshCache();
    const pushed = lab.images[image];
    const client = clients[name];
    const pull = (ref: string): Promise<{ digest: string }> =>
      client.pull(ref, credentials === undefined ? {} : { credentials });
    const forget = async (ref: string): Promise<void> => {
      if ('remove' in client) await client.remove(ref);
      await lab.forget();
      proxy.forget();
    };
    const platform = pushed.manifests.find((made) => made.platform === 'linux/amd64');
    // skopeo names the manifest it chose, the others what the tag names
    const expected = name === 'skopeo' ? platform?.digest : pushed.digest;
    const blobs = [platform?.config, ...(platform?.layers ?? [])].map((blob) => blob?.digest ?? '');

    await lab.forget();
    proxy.forget();
    expect((await pull(pushed.ref)).digest).toBe(expected);
    const cold = await settledRequests(lab, proxy);
    expect(new Set(objects(cold).map(firstOfEach))).toEqual(new Set(['MISS']));
    expect(tagged(cold).map(statusOf)[0]).toBe('MISS');
    expect(blobsOf(cold).map(digestOf).sort()).toEqual([...blobs].sort());
    expect(cold.every(({ complete }) => complete === 'true')).toBe(true);

    await forget(pushed.ref);
    expect((await pull(pushed.ref)).digest).toBe(expected);
    const byTag = await settledRequests(lab, proxy);
    expect(new Set(objects(byTag).map(statusOf))).toEqual(new Set(['HIT']));
    expect(new Set(tagged(byTag).map(statusOf))).toEqual(new Set(['REVALIDATED']));
    expect(blobsOf(byTag).map(digestOf).sort()).toEqual([...blobs].sort());
    const tag = pushed.ref.split(':').at(-1);
    expect(await upstreamRequests(lab)).toEqual([`HEAD manifests/${tag}`]);

    await forget(pushed.ref);
    const pinned = pushed.ref.replace(/:[^:]+$/, `@${pushed.digest}`);
    expect((await pull(pinned)).digest).toBe(expected);
    const byDigest = await settledRequests(lab, proxy);
    expect(new Set(objects(byDigest).map(statusOf))).toEqual(new Set(['HIT']));
    expect(blobsOf(byDigest).map(digestOf).sort()).toEqual([...blobs].sort());
    expect(await upstreamRequests(lab)).toEqual([]);
    await forget(pinned);
  });
});

describe('an image from the cache', () => {
  test('has the bytes of its digests', async () => {
    await freshCache();
    const { multi } = lab.images;
    await clients.skopeo.pull(multi.ref, { all: true });
    await lab.forget();
    const { folder } = await clients.skopeo.pull(multi.ref, { all: true });
    expect(await upstreamRequests(lab)).toEqual(['HEAD manifests/1']);
    const names = (await readdir(folder)).filter((file) => /^[0-9a-f]{64}/.test(file));
    for (const file of names) {
      const hash = createHash('sha256').update(await readFile(join(folder, file)));
      expect(hash.digest('hex')).toBe(file.slice(0, 64));
    }
    const parts = multi.manifests.flatMap((made) => [made, made.config].concat(made.layers));
    const digests = parts.map(({ digest }) => digest);
    expect(new Set(names.map((file) => `sha256:${file.slice(0, 64)}`))).toEqual(new Set(digests));
  });

  test.each(['podman', 'docker', 'containerd'] as const)('runs in %s', async (name) => {
    const { multi } = lab.images;
    await clients[name].pull(multi.ref);
    expect(await clients[name].run(multi.ref)).toBe('hello from multi');
    expect(await clients[name].run(multi.ref, ['/bin/sh', '-c', 'wc -c < /data/2'])).toBe('8000000');
  });
});

/** Another proxy in place of the last one: nothing is cached, the authority stays. */
async function freshCache(): Promise<void> {
  await proxy.stop();
  proxy = await startProxy(lab, { caDir: proxy.caDir, env: EVERY_TAG });
}

const statusOf = (request: ProxyRequest): string => request['upstream_cache_status'] ?? '';
const digestOf = (request: ProxyRequest): string => request['digest'] ?? '';

/** The first answer about an object; what the same pull asks of it afterwards may be cached. */
function firstOfEach(request: ProxyRequest, _index: number, all: readonly ProxyRequest[]): string {
  return statusOf(all.find((other) => digestOf(other) === digestOf(request)) ?? request);
}

/** The answers that gave content: a registry's challenges are passed on as they are. */
function answered(requests: readonly ProxyRequest[]): readonly ProxyRequest[] {
  return requests.filter(({ status }) => status === '200');
}

function blobsOf(requests: readonly ProxyRequest[]): readonly ProxyRequest[] {
  return answered(requests).filter((request) => request['request_type'] === 'blob-by-digest');
}

function objects(requests: readonly ProxyRequest[]): readonly ProxyRequest[] {
  return answered(requests).filter((request) => request['request_type']?.endsWith('-by-digest'));
}

function tagged(requests: readonly ProxyRequest[]): readonly ProxyRequest[] {
  return answered(requests).filter((request) => request['request_type'] === 'manifest-default-disabled');
}
