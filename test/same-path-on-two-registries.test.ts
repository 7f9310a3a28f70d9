import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clients } from './lab/clients/clients.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy } from './lab/proxy.ts';
import { ALICE, type Credentials } from './lab/users.ts';

const CLIENTS = ['skopeo', 'podman', 'docker', 'containerd'] as const;
const ORDERS = [
  ['quayApp', 'ghcrApp'],
  ['ghcrApp', 'quayApp'],
] as const;
type Twin = (typeof ORDERS)[number][number];

let lab: Lab;
let first: Proxy;
let clients: Clients;

beforeAll(async () => {
  lab = await startLab();
  first = await startProxy(lab);
  clients = lab.clients({ proxy: first.url, ca: first.ca });
  await first.stop();
});

afterAll(async () => {
  await lab?.down();
});

describe.each([{ manifestCache: 'false' }, { manifestCache: 'true' }])(
  'with ENABLE_MANIFEST_CACHE=$manifestCache',
  ({ manifestCache }) => {
    test.each(ORDERS)('%s then %s: each client gets its own', async (...order) => {
      await using _proxy = await freshProxy(manifestCache);
      for (const name of CLIENTS) {
        const client = clients[name];
        for (const twin of order) {
          const { ref, digest } = lab.images[twin];
          expect((await client.pull(ref, login(twin))).digest).toBe(digest);
        }
        if ('remove' in client) for (const twin of order) await client.remove(lab.images[twin].ref);
      }
      // both are cached by now, and asked for in turns
      for (const twin of [...order, ...order]) {
        const { ref, digest } = lab.images[twin];
        expect((await clients.skopeo.pull(ref, login(twin))).digest).toBe(digest);
      }
    });

    test.each(ORDERS)('%s cached: its digests are unknown to the registry of %s', async (here, there) => {
      await using _proxy = await freshProxy(manifestCache);
      const { ref, digest, manifests } = lab.images[here];
      await clients.skopeo.pull(ref, login(here));
      const own = manifests[0]?.layers[1]?.digest ?? '';
      for (const [kind, asked] of [
        ['manifests', digest],
        ['blobs', own],
        ['blobs', manifests[0]?.config.digest ?? ''],
      ] as const) {
        for (const method of ['GET', 'HEAD']) {
          const path = `v2/team/app/${kind}/${asked}`;
          const cached = await curl(here, method, path);
          expect([cached.status, cached.headers['docker-content-digest']]).toEqual([200, asked]);
          const foreign = await curl(there, method, path);
          expect([foreign.status, foreign.headers['docker-content-digest']]).toEqual([404, undefined]);
          const code = kind === 'blobs' ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN';
          expect(foreign.body.toString()).toMatch(method === 'GET' ? code : /^$/);
        }
      }
    });
  },
);

/** A proxy with an empty cache and the authority that the clients trust. */
async function freshProxy(manifestCache: string): Promise<AsyncDisposable> {
  const proxy = await startProxy(lab, {
    caDir: first.caDir,
    env: { ENABLE_MANIFEST_CACHE: manifestCache },
  });
  return { [Symbol.asyncDispose]: () => proxy.stop() };
}

function login(twin: Twin): { credentials?: Credentials } {
  return twin === 'quayApp' ? { credentials: ALICE } : {};
}

function curl(twin: Twin, method: string, path: string) {
  const host = twin === 'quayApp' ? 'quay.io' : 'ghcr.io';
  const accept = 'application/vnd.oci.image.manifest.v1+json';
  return clients.curl.request(`https://${host}/${path}`, { method, headers: { accept }, ...login(twin) });
}
