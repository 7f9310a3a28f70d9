import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Clients } from './lab/clients/clients.ts';
import type { Image } from './lab/image.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy } from './lab/proxy.ts';
import { upstreamRequests } from './support/lab-requests.ts';
import { ANY_MANIFEST } from './upstream/image.ts';

/** Longer than any tier that is waited for, under load too. */
const PATIENCE = { timeout: 20_000, interval: 200 };

let lab: Lab;
let proxy: Proxy;
let clients: Clients;
/** Two builds of one image. */
let older: Image;
let newer: Image;

beforeAll(async () => {
  lab = await startLab();
  older = await lab.craft({ seed: 'older build', layers: [100_000] });
  newer = await lab.craft({ seed: 'newer build', layers: [100_000] });
});

afterAll(async () => {
  await lab?.down();
});

describe('with the tiers of docker-registry-proxy', () => {
  beforeAll(() => begin({ ENABLE_MANIFEST_CACHE: 'true' }));
  afterAll(() => proxy.stop());

  test.each([
    ['stable', 'manifest-primary'],
    // its regex is anchored at its start alone
    ['testing-1.2.3', 'manifest-primary'],
    ['22.04', 'manifest-secondary'],
    ['v1.2.3-rc.1', 'manifest-secondary'],
    ['latest', 'manifest-default'],
    ['unstable', 'manifest-default'],
    ['2', 'manifest-default'],
  ])('%s is %s, and is not asked for again while it is fresh', async (tag, type) => {
    await publish(older, tag);
    expect(await ask(tag)).toEqual([older.digest, 'MISS', type]);
    await lab.forget();
    expect(await ask(tag)).toEqual([older.digest, 'HIT', type]);
    expect(await ask(tag, 'HEAD')).toEqual([older.digest, 'HIT', type]);
    await publish(newer, tag);
    await lab.forget();
    expect(await ask(tag)).toEqual([older.digest, 'HIT', type]);
    expect(await upstreamRequests(lab)).toEqual([]);
  });

  test.each(['skopeo', 'podman', 'docker', 'containerd'] as const)(
    '%s pulls a cached tag without one request upstream',
    async (name) => {
      const { ref, digest } = lab.images.ghcrAppNewer;
      await clients[name].pull(ref);
      const client = clients[name];
      if ('remove' in client) await client.remove(ref);
      await lab.forget();
      expect((await client.pull(ref)).digest).toBe(digest);
      expect(await upstreamRequests(lab)).toEqual([]);
    },
  );
});

describe("with tiers of one's own", () => {
  beforeAll(() =>
    begin({
      ENABLE_MANIFEST_CACHE: 'true',
      MANIFEST_CACHE_PRIMARY_REGEX: '(edge|canary)',
      MANIFEST_CACHE_PRIMARY_TIME: '1s',
      MANIFEST_CACHE_SECONDARY_REGEX: String.raw`v\d+$`,
      MANIFEST_CACHE_SECONDARY_TIME: '1y',
      MANIFEST_CACHE_DEFAULT_TIME: '2h',
    }),
  );
  afterAll(() => proxy.stop());

  test('a republished tag is seen after the time of its tier, and not before', async () => {
    const tags = { canary: 'manifest-primary', v7: 'manifest-secondary', 'v7.1': 'manifest-default' };
    for (const [tag, type] of Object.entries(tags)) {
      await publish(older, tag);
      expect(await ask(tag)).toEqual([older.digest, 'MISS', type]);
      await publish(newer, tag);
    }
    await vi.waitFor(
      async () => expect(await ask('canary')).toEqual([newer.digest, 'EXPIRED', tags.canary]),
      PATIENCE,
    );
    for (const tag of ['v7', 'v7.1'] as const)
      expect(await ask(tag)).toEqual([older.digest, 'HIT', tags[tag]]);
    expect((await clients.skopeo.pull('ghcr.io/team/tiers:canary')).digest).toBe(newer.digest);
    expect((await clients.skopeo.pull('ghcr.io/team/tiers:v7')).digest).toBe(older.digest);
  });

  test('a tag that stayed is good for its time again after one HEAD', async () => {
    await publish(older, 'edge');
    await ask('edge');
    await lab.forget();
    await vi.waitFor(
      async () => expect(await ask('edge')).toEqual([older.digest, 'REVALIDATED', 'manifest-primary']),
      PATIENCE,
    );
    const asked = new Set(await upstreamRequests(lab));
    expect(asked).toEqual(new Set(['HEAD manifests/edge']));
  });

  test('while the registry is away a tag is served stale, and fresh again when it is back', async () => {
    await publish(older, 'edge-away');
    const ref = 'ghcr.io/team/tiers:edge-away';
    await clients.skopeo.pull(ref);
    await lab.ghcr.stop();
    try {
      await vi.waitFor(
        async () => expect(await ask('edge-away')).toEqual([older.digest, 'STALE', 'manifest-primary']),
        PATIENCE,
      );
      expect(await ask('edge-away', 'HEAD')).toEqual([older.digest, 'STALE', 'manifest-primary']);
      // what is cached pulls, from the first request to the last byte
      expect((await clients.skopeo.pull(ref)).digest).toBe(older.digest);
      // what is not fails, and says why
      const { status, body } = await request('never-seen');
      expect([status, body.toString()]).toEqual([502, expect.stringContaining('UPSTREAM_CONNECT')]);
    } finally {
      await lab.ghcr.start();
    }
    await publish(newer, 'edge-away');
    await vi.waitFor(async () => expect((await ask('edge-away'))[0]).toBe(newer.digest), PATIENCE);
  });
});

async function begin(env: Record<string, string>): Promise<void> {
  proxy = await startProxy(lab, { env });
  clients = lab.clients({ proxy: proxy.url, ca: proxy.ca });
}

async function publish(image: Image, tag: string): Promise<void> {
  await lab.push(image, `ghcr.io/team/tiers:${tag}`);
}

function request(tag: string, method = 'GET') {
  // as real clients ask: what else they list makes no difference
  const headers = { accept: ANY_MANIFEST };
  return clients.curl.request(`https://ghcr.io/v2/team/tiers/manifests/${tag}`, { method, headers });
}

/** What a tag means, how the proxy came to know it, and its tier. */
async function ask(tag: string, method = 'GET'): Promise<(string | undefined)[]> {
  const { headers } = await request(tag, method);
  return [
    headers['docker-content-digest'],
    headers['x-docker-registry-proxy-cache-upstream-status'],
    headers['x-docker-registry-proxy-cache-type'],
  ];
}
