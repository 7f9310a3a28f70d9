import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clients } from './lab/clients/clients.ts';
import type { Image } from './lab/image.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy } from './lab/proxy.ts';
import { ALICE, type Credentials } from './lab/users.ts';

const CLIENTS = ['skopeo', 'podman', 'docker'] as const;
const REGISTRIES = [
  { name: 'Hub with tokens', prefix: 'docker.io/library' },
  { name: 'quay with Basic credentials', prefix: 'quay.io/team' },
  { name: 'ghcr without credentials', prefix: 'ghcr.io/team' },
] as const;

let lab: Lab;
let direct: Clients;
let made = 0;

beforeAll(async () => {
  lab = await startLab();
  direct = lab.clients();
});
afterAll(async () => {
  await lab?.down();
});

/** Has a client push an image; gives the digest it claims. */
async function push(
  clients: Clients,
  name: (typeof CLIENTS)[number],
  image: Image,
  ref: string,
  credentials?: Credentials,
): Promise<string> {
  const options = credentials === undefined ? {} : { credentials };
  const given = name === 'docker' ? await clients.skopeo.archive(image.folder, ref) : image.folder;
  return clients[name].push(given, ref, options);
}

function craft(): Promise<Image> {
  made += 1;
  return lab.craft({ seed: `pushed ${made}`, layers: [3_000_000, 10_000], mediaTypes: 'docker' });
}

/** The registry itself, and whoever pulls through the proxy, have what was pushed. */
async function expectPushed(clients: Clients, ref: string, digest: string): Promise<void> {
  const manifest = await direct.skopeo.manifest(ref, { credentials: ALICE });
  expect(`sha256:${createHash('sha256').update(manifest).digest('hex')}`).toBe(digest);
  expect((await clients.skopeo.pull(ref, { credentials: ALICE })).digest).toBe(digest);
}

describe.each([
  { way: 'spooled', buffering: 'true' },
  { way: 'streamed', buffering: 'false' },
])('with the proxy’s credentials, $way', ({ buffering }) => {
  let proxy: Proxy;
  let clients: Clients;
  beforeAll(async () => {
    proxy = await startProxy(lab, {
      env: {
        ALLOW_PUSH: 'true',
        PROXY_REQUEST_BUFFERING: buffering,
        AUTH_REGISTRIES: [`auth.docker.io`, 'quay.io']
          .map((host) => `${host}:alice:${ALICE.password}`)
          .join(' '),
      },
    });
    clients = lab.clients({ proxy: proxy.url, ca: proxy.ca });
  });
  afterAll(() => proxy.stop());

  describe.each(CLIENTS)('%s', (name) => {
    test.each(REGISTRIES)('pushes to $name', async ({ prefix }) => {
      const image = await craft();
      const ref = `${prefix}/pushed-${made}:1`;
      const digest = await push(clients, name, image, ref);
      await expectPushed(clients, ref, digest);
      // the same tag again, with something else
      const other = await craft();
      await expectPushed(clients, ref, await push(clients, name, other, ref));
    });
  });

  test.each(REGISTRIES)('skopeo deletes from $name what it pushed', async ({ prefix }) => {
    const ref = `${prefix}/deleted-${(made += 1)}:1`;
    await expectPushed(clients, ref, await push(clients, 'skopeo', await craft(), ref));
    await clients.skopeo.delete(ref);
    await expect(clients.skopeo.pull(ref, { credentials: ALICE })).rejects.toThrow(/unknown/);
  });

  test('docker mounts what it pushed to another repository before', async () => {
    const image = await craft();
    const refs = [`quay.io/team/first-${made}:1`, `quay.io/team/second-${made}:1`];
    for (const ref of refs) await expectPushed(clients, ref, await push(clients, 'docker', image, ref));
    const mounts = (await lab.quay.requests()).filter(({ path }) => path.includes('mount='));
    expect(mounts.some(({ status }) => status === 201)).toBe(true);
  });
});

describe('with the clients’ own credentials only', () => {
  let proxy: Proxy;
  let clients: Clients;
  beforeAll(async () => {
    // a registry that asks for Basic credentials asks for none where the proxy has some
    const env = {
      ALLOW_PUSH_WITH_OWN_AUTH: 'true',
      AUTH_REGISTRIES: `auth.docker.io:alice:${ALICE.password}`,
    };
    proxy = await startProxy(lab, { env });
    clients = lab.clients({ proxy: proxy.url, ca: proxy.ca });
  });
  afterAll(() => proxy.stop());

  describe.each(REGISTRIES.slice(0, 2))('to $name', ({ prefix }) => {
    test.each(CLIENTS)('%s pushes after a login', async (name) => {
      const image = await craft();
      const ref = `${prefix}/own-${made}:1`;
      await expectPushed(clients, ref, await push(clients, name, image, ref, ALICE));
    });

    test.each(['skopeo', 'podman'] as const)('%s does not push without', async (name) => {
      const ref = `${prefix}/nobody-${made}:1`;
      await expect(push(clients, name, await craft(), ref)).rejects.toThrow(/unauthorized|authentication/);
      const asked = direct.skopeo.manifest(ref, { credentials: ALICE });
      await expect(asked).rejects.toThrow(/unknown/);
    });
  });
});
