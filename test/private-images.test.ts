import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Blob } from './upstream/content.ts';
import { basic } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage, type Image } from './upstream/image.ts';
import { blobPath, cacheStatus, expectError, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import { createPullClient, type PullClient, type Pulled, type PullOptions } from './upstream/pull-client.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startProxy, type ProxyProcess } from './upstream/start-proxy.ts';
import { createTokenService, type TokenService } from './upstream/token-service.ts';

/** The proxy holds Alice's credentials; what is below `public/` is anybody's, what is below `alice/` is hers. */
const USERS = { alice: 'marked-secret-alice', bob: 'marked-secret-bob' } as const;
const NOBODY: PullOptions = { headers: { accept: ANY_MANIFEST } };
const GUESS: PullOptions = { ...NOBODY, authorization: 'Bearer marked-secret-guess' };

let registry: ScriptedRegistry;
let tokens: TokenService;
let proxy: ProxyProcess;
let client: PullClient;
let count = 0;

async function begin(policy: string | undefined, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const env = {
    AUTH_REGISTRIES: `${registry.host}:alice:marked-secret-alice`,
    ...(policy === undefined ? {} : { PRIVATE_IMAGES: policy }),
    ...more,
  };
  proxy = await startProxy({ registries: [registry], env });
  client = createPullClient(proxy, registry.host);
}

async function end(): Promise<void> {
  client.close();
  await proxy[Symbol.asyncDispose]();
}

beforeAll(async () => {
  registry = await startScriptedRegistry();
  tokens = createTokenService(registry, {
    users: USERS,
    may: (user, name) => user === 'alice' || (name?.startsWith('public/') ?? false),
  });
  registry.protect(tokens.guard);
});

afterEach(() => registry.reset());

afterAll(() => registry.close());

interface Published {
  readonly image: Image;
  readonly layer: Blob;
  readonly repository: string;
  readonly paths: readonly (readonly [string, Blob])[];
}

function publish(folder: 'public' | 'alice'): Published {
  count += 1;
  const repository = `${folder}/app${count}`;
  const image = craftImage({ seed: repository, layers: [50_000] });
  registry.putImage(repository, image, '1');
  const [layer] = image.layers as [Blob];
  const paths = [
    [manifestPath(repository, '1'), image.manifest],
    [manifestPath(repository, image.manifest), image.manifest],
    [blobPath(repository, image.config), image.config],
    [blobPath(repository, layer), layer],
  ] as const;
  return { image, layer, repository, paths };
}

/** A token that a client fetches past the proxy with credentials of its own. */
async function withOwn(user: 'alice' | 'bob', repository: string): Promise<PullOptions> {
  const answer = await fetch(`${tokens.realm}?service=scripted&scope=repository:${repository}:pull`, {
    headers: { authorization: basic(user, USERS[user]) },
  });
  const { token } = (await answer.json()) as { token: string };
  return { ...NOBODY, authorization: `Bearer ${token}` };
}

async function expectAll({ paths }: Published, options: PullOptions): Promise<void> {
  for (const [path, content] of paths) {
    expectWhole(await client.get(path, options), content);
    expect((await client.head(path, options)).headers['content-length']).toBe(String(content.size));
  }
}

async function expectNone(
  { paths, repository, image }: Published,
  options: PullOptions,
  expected: (pulled: Pulled) => void,
): Promise<void> {
  const lists = [`/v2/${repository}/tags/list`, `/v2/${repository}/referrers/${image.manifest.digest}`];
  for (const path of [...paths.map(([path]) => path), ...lists]) {
    expected(await client.get(path, options));
    const head = await client.head(path, options);
    expect(head.status).toBeGreaterThanOrEqual(400);
    expect(head.headers['docker-content-digest']).toBeUndefined();
  }
}

const expectChallenge = (pulled: Pulled): void => {
  expect(pulled.status).toBe(401);
  expect(pulled.headers['www-authenticate']).toContain(tokens.realm);
};

describe('PRIVATE_IMAGES=shared, the default', () => {
  beforeAll(() => begin(undefined));
  afterAll(end);

  test('serves every client, and says so at the start', async () => {
    await expectAll(publish('alice'), NOBODY);
    expect(proxy.stderr).toContain(`warning: what the credentials for ${registry.host} open is served`);
    expect(proxy.stderr).toMatch(/private images +served to every client/);
  });
});

describe.each(['upstream', 'deny'] as const)('PRIVATE_IMAGES=%s', (policy) => {
  beforeAll(() => begin(policy));
  afterAll(end);

  const expectRefusal = (pulled: Pulled): void =>
    policy === 'upstream' ? expectChallenge(pulled) : expectError(pulled, 403, 'PRIVATE_DENIED');

  test('gives no start-up warning', () => {
    expect(proxy.stderr).not.toContain('warning');
    expect(proxy.stderr).toMatch(/private images +(served to|refused to)/);
  });

  test('serves what is public, on the account of the proxy, and then without a question', async () => {
    const open = publish('public');
    await expectAll(open, NOBODY);
    const gets = registry.requests.find({ method: 'GET', path: /^\/v2\/public\/.*\/(manifests|blobs)\// });
    for (const { headers, status } of gets.filter((one) => one.status === 200))
      expect([status, headers.authorization]).toEqual([200, expect.stringContaining('-alice')]);
    await proxy.stored(open.layer);
    await untilHit(() => client.get(blobPath(open.repository, open.layer)));
    registry.requests.forget();
    for (const [path, content] of open.paths.slice(1)) expectWhole(await client.get(path, NOBODY), content);
    expect(registry.requests.count()).toBe(0);
    expect((await client.get(`/v2/${open.repository}/tags/list`)).status).toBe(200);
  });

  test('never serves what is private to a client without credentials, or with those of another', async () => {
    const secret = publish('alice');
    await expectNone(secret, NOBODY, expectRefusal);
    await expectNone(secret, await withOwn('bob', secret.repository), expectChallenge);
    await expectAll(secret, await withOwn('alice', secret.repository));
    await proxy.stored(secret.layer);
    await expectNone(secret, NOBODY, expectRefusal);
    await expectNone(secret, await withOwn('bob', secret.repository), expectChallenge);
  });

  test('the ping shows the challenge, and no token of the proxy is handed out', async () => {
    expectChallenge(await client.get('/v2/'));
    const scope = `${tokens.path}?service=scripted&scope=repository:alice/app1:pull`;
    expect((await client.get(scope)).status).toBe(401);
  });

  test('what is missing is missing', async () => {
    const { repository } = publish('public');
    expect((await client.get(manifestPath(repository, 'never'), NOBODY)).status).toBe(404);
  });

  test('in an outage who is served is who was before', async () => {
    const [open, secret] = [publish('public'), publish('alice')];
    const alice = await withOwn('alice', secret.repository);
    await expectAll(open, NOBODY);
    await expectAll(secret, alice);
    registry.on({}, { status: 503 });
    for (const [path, content] of open.paths) expectWhole(await client.get(path, NOBODY), content);
    for (const [path, content] of secret.paths) expectWhole(await client.get(path, alice), content);
    await expectNone(secret, NOBODY, ({ status }) => expect([401, 503]).toContain(status));
    await expectNone(secret, GUESS, ({ status }) => expect([401, 503]).toContain(status));
  });
});

test('what was shared under another policy is not any more', async () => {
  await begin('shared');
  const secret = publish('alice');
  await expectAll(secret, NOBODY);
  await client.get(`/v2/${secret.repository}/tags/list`);
  await proxy.stored(secret.layer);
  await proxy.stop();
  const { cacheDir } = proxy;
  const shared = proxy;
  const sharedClient = client;
  await begin('upstream', { CACHE_DIR: cacheDir });
  await expectNone(secret, NOBODY, expectChallenge);
  registry.on({}, { cutAt: 'headers' });
  await expectNone(secret, NOBODY, ({ status }) => expect([401, 502]).toContain(status));
  await end();
  sharedClient.close();
  await shared[Symbol.asyncDispose]();
});

describe("what a client's own credentials opened", () => {
  beforeAll(async () => {
    proxy = await startProxy({ registries: [registry], env: { PRIVATE_CHECK_INTERVAL: '0' } });
    client = createPullClient(proxy, registry.host);
  });
  afterAll(end);

  test("is everybody's once it was tried without any", async () => {
    const open = publish('public');
    const path = blobPath(open.repository, open.layer);
    const alice = await withOwn('alice', open.repository);
    expectWhole(await client.get(path, alice), open.layer);
    await proxy.stored(open.layer);
    // her own question, and the one without credentials beside it
    expectWhole(await untilHit(() => client.get(path, alice)), open.layer);
    // upstream's answer to that one is not waited for
    while ((await client.get(path, GUESS)).status !== 200);
    registry.requests.forget();
    expectWhole(await client.get(path, GUESS), open.layer);
    expect(registry.requests.count()).toBe(0);
  });

  test('stays hers where they are needed, and is not tried again each time', async () => {
    const secret = publish('alice');
    const path = blobPath(secret.repository, secret.layer);
    const alice = await withOwn('alice', secret.repository);
    expectWhole(await client.get(path, alice), secret.layer);
    await proxy.stored(secret.layer);
    for (let turn = 0; turn < 5; turn += 1) expectWhole(await client.get(path, alice), secret.layer);
    const anonymous = registry.requests
      .find({ path })
      .filter(({ headers }) => headers.authorization === undefined);
    expect(anonymous.length).toBeLessThanOrEqual(1);
    expectChallenge(await client.get(path, GUESS));
  });

  test('is asked about once for all that one client wants of a repository together', async () => {
    const secret = publish('alice');
    const alice = await withOwn('alice', secret.repository);
    await expectAll(secret, alice);
    await proxy.stored(secret.layer);
    await untilHit(() => client.get(blobPath(secret.repository, secret.layer), alice));
    registry.requests.forget();
    const held = registry.hold({ method: 'HEAD' }, 'headers');
    const clients = secret.paths.slice(1).map(() => createPullClient(proxy, registry.host));
    const pulls = secret.paths.slice(1).map(([path], at) => clients[at]!.open(path, alice));
    await held.arrived;
    await Promise.all(pulls.map(({ sent }) => sent));
    await client.get('/v2/');
    held.release();
    for (const [at, pull] of pulls.entries()) {
      const pulled = await pull.done;
      expectWhole(pulled, secret.paths[at + 1]![1]);
      expect(cacheStatus(pulled)).toBe('HIT');
    }
    const own = registry.requests
      .find({ method: 'HEAD' })
      .filter(({ headers }) => headers.authorization === alice.authorization);
    expect(own).toHaveLength(1);
    for (const one of clients) one.close();
  });
});
