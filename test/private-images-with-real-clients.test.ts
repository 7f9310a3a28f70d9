import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clients } from './lab/clients/clients.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy } from './lab/proxy.ts';
import { ALICE, BOB, WRONG, type Credentials } from './lab/users.ts';
import { ANY_MANIFEST } from './upstream/image.ts';

/** Docker Hub's tokens and quay's htpasswd, with credentials of Alice's in the proxy that are not for its clients. */
const NAMES = ['skopeo', 'podman', 'docker', 'containerd'] as const;
const LONG = 120_000;

let lab: Lab;
let clients: Clients;

beforeAll(async () => {
  lab = await startLab();
  const held = ({ username, password }: Credentials): string => `${username}:${password}`;
  const proxy = await startProxy(lab, {
    env: {
      PRIVATE_IMAGES: 'upstream',
      AUTH_REGISTRIES: `auth.docker.io:${held(ALICE)} quay.io:${held(ALICE)}`,
    },
  });
  clients = lab.clients({ proxy: proxy.url, ca: proxy.ca });
});

afterAll(async () => {
  await lab?.down();
});

async function pull(name: (typeof NAMES)[number], ref: string, credentials?: Credentials): Promise<void> {
  const client = clients[name];
  await client.pull(ref, credentials === undefined ? {} : { credentials });
  if ('remove' in client) await client.remove(ref);
}

async function tokenOf(repository: string, credentials: Credentials | undefined): Promise<string> {
  const url = `https://auth.docker.io/token?service=registry.docker.io&scope=repository:${repository}:pull`;
  const { body } = await clients.curl.request(url, credentials && { credentials });
  return (JSON.parse(body.toString()) as { token?: string }).token ?? 'none';
}

describe.each(NAMES)('%s', (name) => {
  test(
    'pulls what is public without a login',
    async () => {
      await expect(pull(name, lab.images.multi.ref)).resolves.toBeUndefined();
    },
    LONG,
  );

  test(
    'pulls what is private with a login that opens it, and never without',
    async () => {
      for (const { ref } of [lab.images.secret, lab.images.quayApp]) {
        const expectNone = async (): Promise<void> => {
          for (const credentials of [undefined, BOB, WRONG])
            await expect(pull(name, ref, credentials)).rejects.toThrow(/\w/);
        };
        await expectNone();
        await pull(name, ref, ALICE);
        await expectNone();
      }
    },
    LONG,
  );
});

describe('a private image that is cached', () => {
  const HOW = [
    ['GET', []],
    ['HEAD', []],
    ['GET', ['--range', '0-99']],
    ['GET', ['--range', '0-9,20-29']],
  ] as const;

  beforeAll(() => pull('skopeo', lab.images.secret.ref, ALICE), LONG);

  test.each([
    ['nobody', undefined],
    ['another user', BOB],
    ['a wrong password', WRONG],
  ])(
    'gives %s nothing, in no way',
    async (_who, credentials) => {
      const { digest, manifests } = lab.images.secret;
      // the first layer is a base that all images share
      const blob = manifests[0]?.layers.at(-1)?.digest ?? '';
      const base = 'https://registry-1.docker.io/v2';
      const authorization = `Bearer ${await tokenOf('alice/secret', credentials)}`;
      const paths = [
        'manifests/1',
        `manifests/${digest}`,
        `blobs/${blob}`,
        'tags/list',
        `referrers/${digest}`,
      ];
      const urls = [
        ...paths.map((path) => `${base}/alice/secret/${path}`),
        // public repositories that share nothing with it
        `${base}/library/multi/blobs/${blob}`,
        `https://ghcr.io/v2/team/app/blobs/${blob}`,
        `https://ghcr.io/v2/alice/secret/manifests/1`,
      ];
      for (const url of urls) {
        for (const [method, flags] of HOW) {
          for (const headers of [{ accept: ANY_MANIFEST, authorization }, { accept: ANY_MANIFEST }]) {
            const answer = await clients.curl.request(url, { method, flags, headers });
            expect.soft(answer.status, `${method} ${url}`).toBeGreaterThanOrEqual(400);
            expect.soft(answer.headers['docker-content-digest'], `${method} ${url}`).toBeUndefined();
          }
        }
      }
    },
    LONG,
  );
});
