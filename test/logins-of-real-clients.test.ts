import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clients } from './lab/clients/clients.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy } from './lab/proxy.ts';
import { ALICE, BOB, type Credentials } from './lab/users.ts';

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

/** Another proxy in place of the last one, with nothing cached and these settings. */
async function freshProxy(env: Readonly<Record<string, string>>): Promise<void> {
  await proxy.stop();
  proxy = await startProxy(lab, { caDir: proxy.caDir, env });
}

const list = (host: string, { username, password }: Credentials): string => `${host}:${username}:${password}`;
const auth = ({ username, password }: Credentials): string => btoa(`${username}:${password}`);
const none = (): Promise<Record<string, string>> => Promise.resolve({});

/** A Docker configuration in a file. */
async function dockerConfig(auths: object): Promise<Record<string, string>> {
  const path = join(lab.work, 'held-config.json');
  await writeFile(path, JSON.stringify({ auths }));
  return { AUTH_DOCKER_CONFIG: path };
}

interface Case {
  readonly name: string;
  readonly image: keyof Lab['images'];
  readonly held: () => Promise<Record<string, string>>;
  readonly own?: Credentials;
}

/** Whose credentials open what, by the kind of the registry. */
const SUCCEEDS: readonly Case[] = [
  {
    name: "tokens, the proxy's for the token service",
    image: 'secret',
    held: async () => ({ AUTH_REGISTRIES: list('auth.docker.io', ALICE) }),
  },
  {
    name: "tokens, the proxy's in a Docker configuration",
    image: 'secret',
    held: () => dockerConfig({ 'https://index.docker.io/v1/': { auth: auth(ALICE) } }),
  },
  {
    name: "tokens, the proxy's for these repositories alone",
    image: 'secret',
    held: async () => ({
      AUTH_REGISTRIES: `${list('docker.io/alice/*', ALICE)} ${list('docker.io', BOB)}`,
    }),
  },
  { name: "tokens, the client's own", image: 'secret', held: none, own: ALICE },
  {
    name: "tokens, the client's own beside the proxy's",
    image: 'secret',
    held: async () => ({ AUTH_REGISTRIES: list('auth.docker.io', BOB) }),
    own: ALICE,
  },
  { name: 'tokens, none for a public image', image: 'single', held: none },
  {
    name: "tokens, the proxy's for a public image",
    image: 'single',
    held: async () => ({ AUTH_REGISTRIES: list('auth.docker.io', BOB) }),
  },
  {
    name: "Basic, the proxy's",
    image: 'quayApp',
    held: async () => ({ AUTH_REGISTRIES: list('quay.io', ALICE) }),
  },
  {
    name: "Basic, the proxy's in a Docker configuration",
    image: 'quayApp',
    held: () => dockerConfig({ 'quay.io/team': { auth: auth(ALICE) } }),
  },
  { name: "Basic, the client's own", image: 'quayApp', held: none, own: ALICE },
  { name: 'a registry that asks for none', image: 'ghcrApp', held: none },
];

const REFUSED: readonly Case[] = [
  { name: 'tokens, none', image: 'secret', held: none },
  { name: "tokens, another's", image: 'secret', held: none, own: BOB },
  {
    name: "tokens, the proxy's of another",
    image: 'secret',
    held: async () => ({ AUTH_REGISTRIES: list('auth.docker.io', BOB) }),
  },
  { name: 'Basic, none', image: 'quayApp', held: none },
];

// dockerd and skopeo ping first, containerd asks for what it wants
describe.each(['docker', 'containerd', 'skopeo'] as const)('%s', (name) => {
  async function pull({ image, held, own }: Case): Promise<string> {
    await freshProxy(await held());
    const { ref } = lab.images[image];
    const client = clients[name];
    const { digest } = await client.pull(ref, own === undefined ? {} : { credentials: own });
    if ('remove' in client) await client.remove(ref);
    return digest;
  }

  test.each(SUCCEEDS)('pulls: $name', async (one) => {
    expect(await pull(one)).toBe(lab.images[one.image].digest);
  });

  test.each(REFUSED)('is refused: $name', async (one) => {
    await expect(pull(one)).rejects.toThrow(
      /denied|unauthorized|authentication required|no basic auth|401|access forbidden/i,
    );
  });
});
