import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { randomBlob, textContent, type Blob } from './upstream/content.ts';
import { basic, basicGuard, type Users } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import type { RecordedRequest } from './upstream/recorded-request.ts';
import { createPullClient, type PullClient } from './upstream/pull-client.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import type { ScriptedServer } from './upstream/scripted-server.ts';
import { startProxy, type ProxyProcess } from './upstream/start-proxy.ts';
import { createTokenService, type TokenService, type TokenServiceOptions } from './upstream/token-service.ts';

const USERS: Users = { alice: 'marked-secret-alice', bob: 'marked-secret-bob' };
const ALICE = basic('alice', 'marked-secret-alice');
const BOB = basic('bob', 'marked-secret-bob');

interface Scene {
  readonly registry: ScriptedRegistry;
  readonly client: PullClient;
  readonly proxy: ProxyProcess;
}

/** Registries by what the proxy holds for them; each test takes one of its own, all share the proxy. */
interface Pools {
  readonly none: ScriptedRegistry[];
  readonly right: ScriptedRegistry[];
  readonly wrong: ScriptedRegistry[];
  readonly rightOverTls: ScriptedRegistry[];
}

const closing = new AsyncDisposableStack();
let pools: Pools;
let proxy: ProxyProcess;
/** Token services: known to the proxy by its address, intercepted, and known to nobody. */
let namedRealm: ScriptedServer;
let interceptedRealm: ScriptedServer;
let otherRealm: ScriptedServer;

beforeAll(async () => {
  const one = async (tls = false): Promise<ScriptedRegistry> =>
    closing.use(await startScriptedRegistry({ tls }));
  const many = (count: number): Promise<ScriptedRegistry[]> =>
    Promise.all(Array.from({ length: count }, () => one()));
  pools = {
    none: await many(21),
    right: await many(10),
    wrong: await many(2),
    rightOverTls: [await one(true)],
  };
  [namedRealm, interceptedRealm, otherRealm] = await Promise.all([one(), one(), one()]);
  const held = [...pools.right, ...pools.rightOverTls, interceptedRealm].map(
    ({ host }) => `${host}:alice:marked-secret-alice`,
  );
  proxy = closing.use(
    await startProxy({
      registries: [...Object.values(pools).flat(), interceptedRealm],
      env: {
        AUTH_REGISTRIES: [
          ...held,
          `127.0.0.1:${namedRealm.port}:alice:marked-secret-alice`,
          ...pools.wrong.map(({ host }) => `${host}:alice:wrong`),
        ].join(' '),
      },
    }),
  );
});

afterEach(() => otherRealm.reset());

afterAll(() => closing.disposeAsync());

function sceneOf(pool: keyof Pools): Scene {
  const registry = pools[pool].pop();
  if (registry === undefined) throw new Error(`the pool ${pool} needs more registries`);
  return { registry, proxy, client: clientOf(registry) };
}

function clientOf(server: ScriptedServer): PullClient {
  return closing.use(createPullClient(proxy, server.host));
}

/** A registry with its own token service, at the same host and port. */
function bearerScene(service: TokenServiceOptions, pool: keyof Pools = 'none'): [Scene, TokenService] {
  const scene = sceneOf(pool);
  const tokens = createTokenService(scene.registry, service);
  scene.registry.protect(tokens.guard);
  return [scene, tokens];
}

function put({ registry }: Scene, repository: string, count = 1): Blob[] {
  const blobs = Array.from({ length: count }, (_, index) =>
    randomBlob(`${registry.host}/${repository} ${index}`, 20_000),
  );
  registry.put({ repository, blobs });
  return blobs;
}

/** What was asked by GET; a service that knows no other way was asked by POST before. */
const byGet = (tokens: TokenService): readonly RecordedRequest[] =>
  tokens.requests().filter(({ method }) => method === 'GET');

const authorizations = (requests: readonly RecordedRequest[]): (string | undefined)[] =>
  requests.map(({ headers }) => headers.authorization);

describe('AUTH_REGISTRIES', () => {
  test('Basic: the challenge is answered, and not waited for the next time', async () => {
    const scene = sceneOf('right');
    const { registry, client } = scene;
    registry.protect(basicGuard({ users: USERS }));
    const [first, second] = put(scene, 'a/b', 2);
    expectWhole(await client.get(blobPath('a/b', first!)), first!);
    expect(authorizations(registry.requests.all)).toEqual([undefined, ALICE]);
    registry.requests.forget();
    expectWhole(await client.get(blobPath('a/b', second!)), second!);
    expect(authorizations(registry.requests.all)).toEqual([ALICE]);
  });

  test('Bearer with the realm at the registry itself', async () => {
    const [scene, tokens] = bearerScene({ users: USERS }, 'right');
    const [blob] = put(scene, 'a/b');
    expectWhole(await scene.client.get(blobPath('a/b', blob!)), blob!);
    expect(authorizations(byGet(tokens))).toEqual([ALICE]);
    const query = new URLSearchParams(byGet(tokens)[0]?.query);
    expect(query.get('service')).toBe('scripted');
    expect(query.getAll('scope')).toEqual(['repository:a/b:pull']);
  });

  test('Bearer with the credentials under the name of the realm', async () => {
    const scene = sceneOf('none');
    const tokens = createTokenService(namedRealm, { users: USERS, realmHost: '127.0.0.1' });
    scene.registry.protect(tokens.guard);
    const [blob] = put(scene, 'a/b');
    expectWhole(await scene.client.get(blobPath('a/b', blob!)), blob!);
    expect(authorizations(byGet(tokens))).toEqual([ALICE]);
  });

  test('credentials of the registry go to a realm on its own domain', async () => {
    const scene = sceneOf('right');
    const tokens = createTokenService(otherRealm, { users: USERS });
    scene.registry.protect(tokens.guard);
    const [blob] = put(scene, 'a/b');
    expectWhole(await scene.client.get(blobPath('a/b', blob!)), blob!);
    expect(authorizations(byGet(tokens))).toEqual([ALICE]);
  });

  test('they do not go to a realm on a foreign domain; the client sees the challenge', async () => {
    const scene = sceneOf('right');
    const tokens = createTokenService(otherRealm, { users: USERS, realmHost: '127.0.0.1' });
    scene.registry.protect(tokens.guard);
    const [blob] = put(scene, 'a/b');
    const pulled = await scene.client.get(blobPath('a/b', blob!));
    expect(pulled.status).toBe(401);
    expect(pulled.headers['www-authenticate']).toContain(tokens.realm);
    expect(authorizations(otherRealm.requests.all)).not.toContain(ALICE);
  });

  test('they do not go in plain text to the realm of a registry that is spoken to over TLS', async () => {
    const scene = sceneOf('rightOverTls');
    const tokens = createTokenService(otherRealm, { users: USERS });
    scene.registry.protect(tokens.guard);
    const [blob] = put(scene, 'a/b');
    expect((await scene.client.get(blobPath('a/b', blob!))).status).toBe(401);
    expect(authorizations(otherRealm.requests.all)).not.toContain(ALICE);
  });

  test.each([false, true])("the client's own Authorization wins (Bearer: %s)", async (bearer) => {
    const scene = sceneOf('right');
    const { registry, client } = scene;
    const may = (user: string | undefined): boolean => user === 'alice';
    if (bearer) registry.protect(createTokenService(registry, { users: USERS, may }).guard);
    else registry.protect(basicGuard({ users: USERS, may }));
    const [blob] = put(scene, 'a/b');
    const pulled = await client.get(blobPath('a/b', blob!), {
      authorization: bearer ? 'Bearer marked-secret-mine' : BOB,
    });
    expect(pulled.status).toBe(bearer ? 401 : 403);
    expect(authorizations(registry.requests.all)).toEqual([bearer ? 'Bearer marked-secret-mine' : BOB]);
  });

  test.each([false, true])(
    'wrong ones: the client sees the 401 of the registry (Bearer: %s)',
    async (bearer) => {
      const scene = sceneOf('wrong');
      const { registry, client } = scene;
      if (bearer) registry.protect(createTokenService(registry, { users: USERS }).guard);
      else registry.protect(basicGuard({ users: USERS }));
      const [blob] = put(scene, 'a/b');
      const pulled = await client.get(blobPath('a/b', blob!));
      expect(pulled.status).toBe(401);
      expect(pulled.headers['www-authenticate']).toMatch(bearer ? /^Bearer realm=/ : /^Basic realm=/);
      expect(JSON.parse(pulled.body.toString())).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] });
      const ping = await client.get('/v2/');
      expect(ping.status).toBe(401);
      expect(ping.headers['www-authenticate']).toMatch(bearer ? /^Bearer realm=/ : /^Basic realm=/);
      // and whoever has good ones is not hindered
      if (!bearer) expectWhole(await client.get(blobPath('a/b', blob!), { authorization: ALICE }), blob!);
    },
  );
});

describe('Bearer challenges are answered by the proxy', () => {
  test('for a client without credentials where none are needed', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const image = craftImage({ seed: 'anonymous' });
    scene.registry.putImage('library/app', image, '1');
    const options = { headers: { accept: ANY_MANIFEST } };
    expectWhole(await scene.client.get(manifestPath('library/app', '1'), options), image.manifest);
    expectWhole(await scene.client.get(blobPath('library/app', image.config)), image.config);
    expectWhole(await scene.client.get(blobPath('library/app', image.layers[0]!)), image.layers[0]!);
    expect(authorizations(tokens.requests())).toEqual([undefined]);
    expect(
      scene.registry.requests.find({ path: /^\/v2\// }).filter(({ status }) => status === 401),
    ).toHaveLength(1);
  });

  test('one token a repository', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    for (const repository of ['one', 'two']) {
      const [blob] = put(scene, repository);
      expectWhole(await scene.client.get(blobPath(repository, blob!)), blob!);
    }
    const scopes = tokens.requests().map(({ query }) => new URLSearchParams(query).get('scope'));
    expect(scopes).toEqual(['repository:one:pull', 'repository:two:pull']);
  });

  test('an answer with access_token counts', async () => {
    const [scene, tokens] = bearerScene({ may: () => true, field: 'access_token', lifetime: 300 });
    const [blob] = put(scene, 'a');
    expectWhole(await scene.client.get(blobPath('a', blob!)), blob!);
    expect(tokens.requests()).toHaveLength(1);
  });

  test('beside a Basic one, whichever comes first', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const [blob] = put(scene, 'a');
    const path = blobPath('a', blob!);
    const scope = 'repository:a:pull';
    scene.registry.on(
      { path },
      {
        headers: {
          'www-authenticate': `Basic realm="x", Bearer realm="${tokens.realm}",service="scripted",scope="${scope}"`,
        },
      },
      1,
    );
    expectWhole(await scene.client.get(path), blob!);
    expect(tokens.requests()).toHaveLength(1);
  });

  test('a HEAD stays a HEAD', async () => {
    const [scene] = bearerScene({ may: () => true });
    const [blob] = put(scene, 'a');
    const path = blobPath('a', blob!);
    expect((await scene.client.head(path)).status).toBe(200);
    expect(scene.registry.requests.find({ path }).map(({ method }) => method)).toEqual(['HEAD', 'HEAD']);
  });

  test('a token that ended is renewed once', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const [first, second] = put(scene, 'a', 2);
    expectWhole(await scene.client.get(blobPath('a', first!)), first!);
    tokens.expireAll();
    scene.registry.requests.forget();
    expectWhole(await scene.client.get(blobPath('a', second!)), second!);
    expect(scene.registry.requests.all.map(({ path, status }) => [path, status])).toEqual([
      [blobPath('a', second!), 401],
      [tokens.path, 200],
      [blobPath('a', second!), 200],
    ]);
  });

  test('a token that is never accepted is fetched once, and the client sees the challenge', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const [blob] = put(scene, 'a');
    scene.registry.on({ path: tokens.path }, () => {
      tokens.expireAll();
      return {};
    });
    const pulled = await scene.client.get(blobPath('a', blob!));
    expect(pulled.status).toBe(401);
    expect(pulled.headers['www-authenticate']).toContain(tokens.realm);
    expect(tokens.requests()).toHaveLength(1);
  });

  test('requests that come together share one token request', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const { registry, client } = scene;
    const blobs = put(scene, 'a', 20);
    const held = blobs.map((blob) => registry.hold({ path: blobPath('a', blob) }, 'headers'));
    const pulls = blobs.map((blob) => client.get(blobPath('a', blob)));
    // all twenty are challenged before any token is there
    await Promise.all(held.map(({ arrived }) => arrived));
    for (const one of held) one.release();
    const pulled = await Promise.all(pulls);
    pulled.forEach((one, index) => expectWhole(one, blobs[index]!));
    expect(tokens.requests()).toHaveLength(1);
  });

  test('a challenge that arrives when the token is there already is answered with it', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const { registry, client } = scene;
    const [early, late] = put(scene, 'a', 2);
    const held = registry.hold({ path: blobPath('a', late!) }, 'headers');
    const pull = client.open(blobPath('a', late!));
    await held.arrived;
    expectWhole(await client.get(blobPath('a', early!)), early!);
    held.release();
    expectWhole(await pull.done, late!);
    expect(tokens.requests()).toHaveLength(1);
  });

  test('a token service that is down does not take what is cached with it', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const [blob, other] = put(scene, 'a', 2);
    const path = blobPath('a', blob!);
    expectWhole(await scene.client.get(path), blob!);
    await scene.proxy.stored(blob!);
    scene.registry.on({ path: tokens.path }, { status: 503 });
    scene.registry.on({ path: /^\/v2\// }, { status: 503 });
    const again = await untilHit(() => scene.client.get(path));
    expectWhole(again, blob!);
    expect(cacheStatus(again)).toBe('HIT');
    expect((await scene.client.get(blobPath('a', other!))).status).toBe(503);
  });
});

describe('a token service that is down while its registry is not', () => {
  test.each([429, 500, 503])('is an outage, and not a refusal: %i', async (status) => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const image = craftImage({ seed: `service ${status}` });
    scene.registry.putImage('library/app', image, '1');
    const path = manifestPath('library/app', '1');
    const accept = { headers: { accept: ANY_MANIFEST } };
    expectWhole(await scene.client.get(path, accept), image.manifest);
    tokens.expireAll();
    scene.registry.on({ path: tokens.path }, { status });
    const again = await scene.client.get(path, accept);
    expectWhole(again, image.manifest);
    expect(cacheStatus(again)).toBe('STALE');
    expect((await scene.client.get(manifestPath('library/app', 'never'), accept)).status).toBe(status);
  });
});

describe('a token service below /v2/', () => {
  test('is known for one: what its tokens open without credentials is for all, and the proxy can stand in', async () => {
    const [scene, tokens] = bearerScene({ users: USERS, may: () => true, path: '/v2/auth' });
    const [blob] = put(scene, 'library/a');
    const path = blobPath('library/a', blob!);
    const realm = `${tokens.path}?service=scripted&scope=repository:library/a:pull`;
    const tokenOf = async (): Promise<string> => {
      const { status, body } = await scene.client.get(realm);
      expect(status).toBe(200);
      return (JSON.parse(body.toString()) as { token: string }).token;
    };
    expectWhole(await scene.client.get(path, { authorization: `Bearer ${await tokenOf()}` }), blob!);
    await scene.proxy.stored(blob!);
    scene.registry.on({}, { status: 503 });
    expectWhole(await untilHit(() => scene.client.get(path)), blob!);
    const local = await scene.client.get(`${realm}&scope=repository:library/b:pull`);
    expect(JSON.parse(local.body.toString())).toMatchObject({
      token: expect.stringMatching(/^breakwater\./),
    });
  });

  test('and a path like it that is none passes as it is', async () => {
    const scene = sceneOf('none');
    scene.registry.serve('/v2/auth', textContent('nothing'));
    const { status, body } = await scene.client.get('/v2/auth');
    expect([status, body.toString()]).toEqual([200, 'nothing']);
  });
});

describe('/v2/ and what follows agree', () => {
  test('without any credentials the challenge of the registry is shown', async () => {
    const [scene, tokens] = bearerScene({ may: () => true });
    const ping = await scene.client.get('/v2/');
    expect(ping.status).toBe(401);
    expect(ping.headers['www-authenticate']).toContain(tokens.realm);
    expect(ping.headers['docker-distribution-api-version'] ?? 'registry/2.0').toBe('registry/2.0');
    // a client that has none goes on as podman does, and is helped
    const [blob] = put(scene, 'a');
    expectWhole(await scene.client.get(blobPath('a', blob!)), blob!);
  });

  test('an open registry is open', async () => {
    const scene = sceneOf('none');
    expect((await scene.client.get('/v2/')).status).toBe(200);
  });

  test('with credentials that only the proxy has, the ping succeeds', async () => {
    const scene = sceneOf('right');
    scene.registry.protect(basicGuard({ users: USERS }));
    expect((await scene.client.get('/v2/')).status).toBe(200);
    const [blob] = put(scene, 'a');
    expectWhole(await scene.client.get(blobPath('a', blob!)), blob!);
  });

  test("a client's own credentials are judged by the registry", async () => {
    const scene = sceneOf('right');
    scene.registry.protect(basicGuard({ users: USERS }));
    expect((await scene.client.get('/v2/', { authorization: BOB })).status).toBe(200);
    expect((await scene.client.get('/v2/', { authorization: basic('bob', 'marked-secret-no') })).status).toBe(
      401,
    );
  });

  test('at an intercepted realm the token is fetched on the credentials of the proxy', async () => {
    const scene = sceneOf('none');
    const tokens = createTokenService(interceptedRealm, { users: USERS });
    scene.registry.protect(tokens.guard);
    const [blob] = put(scene, 'a/b');

    const ping = await scene.client.get('/v2/');
    expect(ping.status).toBe(401);
    expect(ping.headers['www-authenticate']).toContain(tokens.realm);
    const query = '?service=scripted&scope=repository%3Aa%2Fb%3Apull';
    const answer = await clientOf(interceptedRealm).get(`${tokens.path}${query}`);
    expect(answer.status).toBe(200);
    expect(authorizations(tokens.requests())).toEqual([ALICE]);
    const { token } = JSON.parse(answer.body.toString()) as { token: string };
    const authorization = `Bearer ${token}`;
    expectWhole(await scene.client.get(blobPath('a/b', blob!), { authorization }), blob!);
  });
});
