import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clients } from './lab/clients/clients.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy, type ProxyRequest } from './lab/proxy.ts';
import { ALICE, BOB, WRONG, type Credentials } from './lab/users.ts';
import { ANY_MANIFEST } from './upstream/image.ts';
import { settledRequests, upstreamRequests } from './support/lab-requests.ts';

const NAMES = ['skopeo', 'podman', 'docker', 'containerd'] as const;
/** Registries, token service and CDN. */
const ADDRESSES = [2, 3, 4, 5, 6].map((last) => `127.0.0.${last}`);
const HUB = 'https://registry-1.docker.io';
const TOKEN = 'https://auth.docker.io/token?service=registry.docker.io';
const ACCEPT = { accept: ANY_MANIFEST };
/** Many pulls, each with its own pauses. */
const LONG = 120_000;

let lab: Lab;
let proxy: Proxy;
let clients: Clients;
/** Of the first proxy; it has what was pulled at the start. */
let cacheDir: string;

beforeAll(async () => {
  lab = await startLab();
  await useProxy({});
  ({ cacheDir } = proxy);
  clients = lab.clients({ proxy: proxy.url, ca: proxy.ca });
  const { multi, ghcrApp, quayApp, single } = lab.images;
  await pullWithAll(multi.ref);
  await pullWithAll(ghcrApp.ref);
  await pullWithAll(quayApp.ref, ALICE);
  // one client's pull is there for the others
  await pullWith('skopeo', single.ref);
});

afterAll(async () => {
  await lab?.down();
});

/** Another proxy in place of the last one, with its authority. */
async function useProxy(env: Record<string, string>, cacheDir?: string): Promise<void> {
  const { caDir } = (await proxy?.stop(), proxy ?? {});
  proxy = await startProxy(lab, {
    env,
    ...(caDir === undefined ? {} : { caDir }),
    ...(cacheDir === undefined ? {} : { cacheDir }),
  });
}

/** Pulls an image whole and drops it again. */
async function pullWith(name: (typeof NAMES)[number], ref: string, credentials?: Credentials): Promise<void> {
  const client = clients[name];
  const pushed = Object.values(lab.images).find((image) => image.ref === ref);
  const { digest } = await client.pull(ref, credentials === undefined ? {} : { credentials });
  const platform = pushed?.manifests.find((made) => made.platform === 'linux/amd64');
  // skopeo names the manifest it chose, the others what the tag names
  expect(digest).toBe(name === 'skopeo' ? platform?.digest : pushed?.digest);
  if ('remove' in client) await client.remove(ref);
}

async function pullWithAll(ref: string, credentials?: Credentials): Promise<void> {
  await Promise.all(NAMES.map((name) => pullWith(name, ref, credentials)));
}

const servers = () => [lab.hub, lab.quay, lab.ghcr, lab.tokens, lab.cdn];
const stopUpstream = () => Promise.all(servers().map((server) => server.stop()));
const startUpstream = () => Promise.all(servers().map((server) => server.start()));

/** Waits until the proxy asks a registry again: an outage is over when the pause that it made is. */
async function backAgain(): Promise<void> {
  for (const url of ['https://ghcr.io/v2/team/app/manifests/1.0', `${HUB}/v2/library/multi/manifests/1`]) {
    for (let turn = 0; ; turn += 1) {
      const { status, headers } = await clients.curl.request(url, { headers: ACCEPT });
      if (status === 200 && statusOf(headers) !== 'STALE') break;
      expect(turn).toBeLessThan(40);
      await delay(500);
    }
  }
}

function statusOf(headers: Readonly<Record<string, string>>): string | undefined {
  return headers['x-docker-registry-proxy-cache-upstream-status'];
}

/** The words for what a pull asked of objects and tags. */
async function words(): Promise<{ objects: Set<string>; tags: Set<string> }> {
  const requests = (await settledRequests(lab, proxy)).filter(({ status }) => status === '200');
  const wordsOf = (test: (request: ProxyRequest) => boolean): Set<string> =>
    new Set(requests.filter(test).map((request) => request['upstream_cache_status'] ?? ''));
  return {
    objects: wordsOf((request) => request['request_type']?.endsWith('-by-digest') ?? false),
    tags: wordsOf((request) => request['request_type'] === 'manifest-default-disabled'),
  };
}

interface OciError {
  readonly code: string;
  readonly message: string;
  readonly detail: { readonly reason: string };
}

/** Insists that what is not cached fails soon, and says why. */
async function expectUncached(reason: RegExp, seconds: number): Promise<void> {
  const urls = [
    'https://ghcr.io/v2/team/app/manifests/22.04',
    `https://ghcr.io/v2/team/app/manifests/${lab.images.ghcrAppNewer.digest}`,
    `${HUB}/v2/library/never/manifests/latest`,
    `${HUB}/v2/library/never/blobs/${lab.images.secret.digest}`,
  ];
  for (const url of urls) {
    const answer = await clients.curl.request(url, { headers: ACCEPT });
    expect([502, 504]).toContain(answer.status);
    expect(answer.seconds).toBeLessThan(seconds);
    const { errors } = JSON.parse(answer.body.toString()) as { errors: OciError[] };
    expect(errors[0]?.detail.reason).toMatch(reason);
    expect(errors[0]?.message).not.toBe('');
  }
}

async function localToken(scope: string, credentials?: Credentials): Promise<string> {
  const url = `${TOKEN}&scope=repository:${scope}:pull`;
  const { status, body } = await clients.curl.request(url, credentials && { credentials });
  expect(status).toBe(200);
  return (JSON.parse(body.toString()) as { token: string }).token;
}

describe('registries, token service and CDN are stopped', () => {
  beforeAll(async () => {
    await lab.forget();
    proxy.forget();
    await stopUpstream();
  });

  test(
    'every client pulls the whole image again, and is told that it is stale',
    async () => {
      await pullWithAll(lab.images.multi.ref);
      await pullWithAll(lab.images.ghcrApp.ref);
      expect(await words()).toEqual({ objects: new Set(['HIT']), tags: new Set(['STALE']) });
    },
    LONG,
  );

  test.each(['podman', 'docker', 'containerd'] as const)(
    'what another client pulled is there too: %s',
    (name) => expect(pullWith(name, lab.images.single.ref)).resolves.toBeUndefined(),
    LONG,
  );

  test(
    'every client pulls with its own credentials what they opened before',
    async () => {
      await expect(pullWithAll(lab.images.quayApp.ref, ALICE)).resolves.toBeUndefined();
    },
    LONG,
  );

  test.each([
    ['another user', BOB],
    ['nobody', undefined],
    ['a wrong password', WRONG],
  ])(
    'and %s never does',
    async (_name, credentials) => {
      for (const name of NAMES) {
        await expect(pullWith(name, lab.images.quayApp.ref, credentials)).rejects.toThrow(/\w/);
      }
      const { manifests, digest } = lab.images.quayApp;
      const blob = manifests[0]?.layers[0]?.digest ?? '';
      for (const path of [`manifests/1.0`, `manifests/${digest}`, `blobs/${blob}`]) {
        for (const method of ['GET', 'HEAD']) {
          const answer = await clients.curl.request(`https://quay.io/v2/team/app/${path}`, {
            method,
            headers: ACCEPT,
            ...(credentials === undefined ? {} : { credentials }),
          });
          expect(answer.status).toBeGreaterThanOrEqual(400);
          expect(answer.headers['docker-content-digest']).toBeUndefined();
        }
      }
    },
    LONG,
  );

  test(
    'what is not cached fails within seconds, and says why',
    async () => {
      await expectUncached(/^UPSTREAM_CONNECT$/, 3);
      for (const name of NAMES) {
        const began = performance.now();
        await expect(clients[name].pull('ghcr.io/team/app:22.04')).rejects.toThrow(/ghcr\.io/);
        expect(performance.now() - began).toBeLessThan(15_000);
      }
    },
    LONG,
  );

  test('pings and tokens are answered here, with a token that means nothing elsewhere', async () => {
    const ping = await clients.curl.request(`${HUB}/v2/`);
    expect(ping.status).toBe(401);
    expect(ping.headers['www-authenticate']).toContain('https://auth.docker.io/token');
    const quay = await clients.curl.request('https://quay.io/v2/');
    expect(quay.headers['www-authenticate']).toContain('Basic');
    expect((await clients.curl.request('https://quay.io/v2/', { credentials: ALICE })).status).toBe(200);
    expect(await localToken('library/never')).toMatch(/^breakwater\./);
    // the same by OAuth2's form, as containerd asks it
    const form = await clients.curl.request('https://auth.docker.io/token', {
      method: 'POST',
      body: `grant_type=password&service=registry.docker.io&client_id=x&username=alice&password=${ALICE.password}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(JSON.parse(form.body.toString())).toMatchObject({
      access_token: expect.stringMatching(/^breakwater\./),
      expires_in: 60,
    });
  });

  test(
    'when they are back everything is as before, for those too that hold a local token',
    async () => {
      const anonymous = await localToken('library/never');
      const alices = await localToken('alice/secret', ALICE);
      await startUpstream();
      await backAgain();
      const ask = (repository: string, token: string) =>
        clients.curl.request(`${HUB}/v2/${repository}`, {
          headers: { ...ACCEPT, authorization: `Bearer ${token}` },
        });
      expect((await ask('library/multi/manifests/1', anonymous)).status).toBe(200);
      expect((await ask('library/multi/manifests/v2s2', anonymous)).status).toBe(200);
      // what her token cannot open she is asked for again, and not refused
      const challenged = await ask('alice/secret/manifests/1', alices);
      expect(challenged.status).toBe(401);
      expect(challenged.headers['www-authenticate']).toContain('https://auth.docker.io/token');
      expect(await localToken('library/fresh')).not.toMatch(/^breakwater\./);

      await lab.forget();
      proxy.forget();
      await pullWithAll(lab.images.multi.ref);
      expect(await words()).toEqual({ objects: new Set(['HIT']), tags: new Set(['REVALIDATED']) });
      // Docker Hub counts GET of manifests and nothing else
      const counted = (await upstreamRequests(lab)).filter((asked) => asked.startsWith('GET manifests'));
      expect(counted).toEqual([]);
      await pullWithAll(lab.images.secret.ref, ALICE);
      expect(await upstreamRequests(lab)).toContain('HEAD manifests/1');
    },
    LONG,
  );
});

describe('names do not resolve', () => {
  test(
    'every client pulls the whole image again; what is not cached fails within seconds',
    async () => {
      await lab.setNames(false);
      // connections that are open need no names, nor does what looked them up a moment ago
      await proxy.restart();
      proxy.forget();
      await pullWithAll(lab.images.multi.ref);
      await pullWithAll(lab.images.ghcrApp.ref);
      expect(await words()).toEqual({ objects: new Set(['HIT']), tags: new Set(['STALE']) });
      await expectUncached(/^UPSTREAM_DNS$/, 3);
      await lab.setNames(true);
      await backAgain();
    },
    LONG,
  );
});

describe('packets are dropped', () => {
  const drop = async (flag: '-A' | '-D'): Promise<void> => {
    for (const address of ADDRESSES)
      await lab.space.run(['iptables', flag, 'INPUT', '-d', address, '-j', 'DROP']);
  };

  test(
    'headers are there in less than 10 s, and every client pulls the whole image',
    async () => {
      // connections that are open would be waited for until their answer is overdue
      await useProxy({}, cacheDir);
      await drop('-A');
      try {
        const { multi } = lab.images;
        const first = [
          'https://ghcr.io/v2/',
          'https://ghcr.io/v2/team/app/manifests/1.0',
          `${HUB}/v2/library/multi/manifests/1`,
          `${HUB}/v2/library/multi/manifests/${multi.digest}`,
          `${HUB}/v2/library/multi/tags/list`,
          `${TOKEN}&scope=repository:library/multi:pull`,
          'https://quay.io/v2/never/seen/manifests/1',
        ];
        const answers = await Promise.all(first.map((url) => clients.curl.request(url, { headers: ACCEPT })));
        for (const { seconds } of answers) expect(seconds).toBeLessThan(10);
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 502, 200, 502]);
        await pullWithAll(multi.ref);
        await pullWithAll(lab.images.ghcrApp.ref);
      } finally {
        await drop('-D');
      }
      await backAgain();
    },
    LONG,
  );
});

describe('no network at all', () => {
  test(
    'the proxy starts, and every client pulls the whole image',
    async () => {
      await stopUpstream();
      await lab.setNames(false);
      await useProxy({}, cacheDir);
      proxy.forget();
      await pullWithAll(lab.images.multi.ref);
      await pullWithAll(lab.images.ghcrApp.ref);
      expect(await words()).toEqual({ objects: new Set(['HIT']), tags: new Set(['STALE']) });
      await expectUncached(/^UPSTREAM_DNS$/, 3);
      await pullWithAll(lab.images.quayApp.ref, ALICE);
      for (const credentials of [BOB, WRONG])
        await expect(pullWith('skopeo', lab.images.quayApp.ref, credentials)).rejects.toThrow(/\w/);
      await lab.setNames(true);
      await startUpstream();
    },
    LONG,
  );
});

describe('OFFLINE=true', () => {
  test(
    'does the same by choice, and asks nobody',
    async () => {
      await useProxy({ OFFLINE: 'true' }, cacheDir);
      await lab.forget();
      await pullWithAll(lab.images.multi.ref);
      await pullWithAll(lab.images.ghcrApp.ref);
      expect(await words()).toEqual({ objects: new Set(['HIT']), tags: new Set(['STALE']) });
      await expectUncached(/^UPSTREAM_OFFLINE$/, 2);
      for (const server of servers()) expect(await server.requests()).toEqual([]);
    },
    LONG,
  );
});

describe("with the proxy's credentials", () => {
  const env = { AUTH_REGISTRIES: `auth.docker.io:${ALICE.username}:${ALICE.password}` };

  test(
    'clients without any pull a private image through an outage and a restart in it',
    async () => {
      await useProxy(env);
      const { secret } = lab.images;
      await pullWithAll(secret.ref);
      await stopUpstream();
      proxy.forget();
      await pullWithAll(secret.ref);
      expect(await words()).toEqual({ objects: new Set(['HIT']), tags: new Set(['STALE']) });
      await proxy.restart();
      await pullWithAll(secret.ref);
      await startUpstream();
      proxy.forget();
      await delay(2_000);
      await pullWithAll(secret.ref);
    },
    LONG,
  );
});
