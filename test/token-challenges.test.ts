import { afterEach, describe, expect, test } from 'vitest';
import { randomBlob, type Blob } from './upstream/content.ts';
import { basic, basicGuard, type Users } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath } from './upstream/paths.ts';
import type { RecordedRequest } from './upstream/recorded-request.ts';
import { startScriptedServer } from './upstream/scripted-server.ts';
import { startStage, type Stage, type StageOptions } from './upstream/stage.ts';
import { createTokenService, type TokenService, type TokenServiceOptions } from './upstream/token-service.ts';

const USERS: Users = { alice: 'secret', bob: 'other' };
const ALICE = basic('alice', 'secret');
const BOB = basic('bob', 'other');

let closing = new AsyncDisposableStack();
afterEach(async () => {
  await closing.disposeAsync();
  closing = new AsyncDisposableStack();
});

async function stageOf(options: StageOptions): Promise<Stage> {
  return closing.use(await startStage(options));
}

/** A registry with its own token service, at the same host and port. */
async function bearerStage(
  service: TokenServiceOptions,
  credentials?: string,
): Promise<[Stage, TokenService]> {
  const stage = await stageOf(
    credentials === undefined ? {} : { env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:${credentials}` }) },
  );
  const tokens = createTokenService(stage.registry, service);
  stage.registry.protect(tokens.guard);
  return [stage, tokens];
}

function put({ registry }: Stage, repository: string, count = 1): Blob[] {
  const blobs = Array.from({ length: count }, (_, index) => randomBlob(`${repository} ${index}`, 20_000));
  registry.put({ repository, blobs });
  return blobs;
}

const authorizations = (requests: readonly RecordedRequest[]): (string | undefined)[] =>
  requests.map(({ headers }) => headers.authorization);

describe('AUTH_REGISTRIES', () => {
  test('Basic: the challenge is answered, and not waited for the next time', async () => {
    const stage = await stageOf({ env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:secret` }) });
    const { registry, client } = stage;
    registry.protect(basicGuard({ users: USERS }));
    const [first, second] = put(stage, 'a/b', 2);
    expectWhole(await client.get(blobPath('a/b', first!)), first!);
    expect(authorizations(registry.requests.all)).toEqual([undefined, ALICE]);
    registry.requests.forget();
    expectWhole(await client.get(blobPath('a/b', second!)), second!);
    expect(authorizations(registry.requests.all)).toEqual([ALICE]);
  });

  test('Bearer with the realm at the registry itself', async () => {
    const [stage, tokens] = await bearerStage({ users: USERS }, 'alice:secret');
    const [blob] = put(stage, 'a/b');
    expectWhole(await stage.client.get(blobPath('a/b', blob!)), blob!);
    expect(authorizations(tokens.requests())).toEqual([ALICE]);
    const query = new URLSearchParams(tokens.requests()[0]?.query);
    expect(query.get('service')).toBe('scripted');
    expect(query.getAll('scope')).toEqual(['repository:a/b:pull']);
  });

  test('Bearer with the credentials under the name of the realm', async () => {
    const realm = closing.use(await startScriptedServer());
    const stage = await stageOf({ env: { AUTH_REGISTRIES: `127.0.0.1:${realm.port}:alice:secret` } });
    const tokens = createTokenService(realm, { users: USERS, realmHost: '127.0.0.1' });
    stage.registry.protect(tokens.guard);
    const [blob] = put(stage, 'a/b');
    expectWhole(await stage.client.get(blobPath('a/b', blob!)), blob!);
    expect(authorizations(tokens.requests())).toEqual([ALICE]);
  });

  test('credentials of the registry go to a realm on its own domain', async () => {
    const realm = closing.use(await startScriptedServer());
    const stage = await stageOf({ env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:secret` }) });
    const tokens = createTokenService(realm, { users: USERS });
    stage.registry.protect(tokens.guard);
    const [blob] = put(stage, 'a/b');
    expectWhole(await stage.client.get(blobPath('a/b', blob!)), blob!);
    expect(authorizations(tokens.requests())).toEqual([ALICE]);
  });

  test('they do not go to a realm on a foreign domain; the client sees the challenge', async () => {
    const realm = closing.use(await startScriptedServer());
    const stage = await stageOf({ env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:secret` }) });
    const tokens = createTokenService(realm, { users: USERS, realmHost: '127.0.0.1' });
    stage.registry.protect(tokens.guard);
    const [blob] = put(stage, 'a/b');
    const pulled = await stage.client.get(blobPath('a/b', blob!));
    expect(pulled.status).toBe(401);
    expect(pulled.headers['www-authenticate']).toContain(tokens.realm);
    expect(authorizations(realm.requests.all)).not.toContain(ALICE);
  });

  test('they do not go in plain text to the realm of a registry that is spoken to over TLS', async () => {
    const realm = closing.use(await startScriptedServer());
    const stage = await stageOf({
      tls: true,
      env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:secret` }),
    });
    const tokens = createTokenService(realm, { users: USERS });
    stage.registry.protect(tokens.guard);
    const [blob] = put(stage, 'a/b');
    expect((await stage.client.get(blobPath('a/b', blob!))).status).toBe(401);
    expect(authorizations(realm.requests.all)).not.toContain(ALICE);
  });

  test.each([false, true])("the client's own Authorization wins (Bearer: %s)", async (bearer) => {
    const stage = await stageOf({ env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:secret` }) });
    const { registry, client } = stage;
    const may = (user: string | undefined): boolean => user === 'alice';
    if (bearer) registry.protect(createTokenService(registry, { users: USERS, may }).guard);
    else registry.protect(basicGuard({ users: USERS, may }));
    const [blob] = put(stage, 'a/b');
    const pulled = await client.get(blobPath('a/b', blob!), { authorization: bearer ? 'Bearer mine' : BOB });
    expect(pulled.status).toBe(bearer ? 401 : 403);
    expect(authorizations(registry.requests.all)).toEqual([bearer ? 'Bearer mine' : BOB]);
  });

  test.each([false, true])(
    'wrong ones: the client sees the 401 of the registry (Bearer: %s)',
    async (bearer) => {
      const stage = await stageOf({ env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:wrong` }) });
      const { registry, client } = stage;
      if (bearer) registry.protect(createTokenService(registry, { users: USERS }).guard);
      else registry.protect(basicGuard({ users: USERS }));
      const [blob] = put(stage, 'a/b');
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
    const [stage, tokens] = await bearerStage({ may: () => true });
    const image = craftImage({ seed: 'anonymous' });
    stage.registry.putImage('library/app', image, '1');
    const options = { headers: { accept: ANY_MANIFEST } };
    expectWhole(await stage.client.get(manifestPath('library/app', '1'), options), image.manifest);
    expectWhole(await stage.client.get(blobPath('library/app', image.config)), image.config);
    expectWhole(await stage.client.get(blobPath('library/app', image.layers[0]!)), image.layers[0]!);
    expect(authorizations(tokens.requests())).toEqual([undefined]);
    expect(
      stage.registry.requests.find({ path: /^\/v2\// }).filter(({ status }) => status === 401),
    ).toHaveLength(1);
  });

  test('one token a repository', async () => {
    const [stage, tokens] = await bearerStage({ may: () => true });
    for (const repository of ['one', 'two']) {
      const [blob] = put(stage, repository);
      expectWhole(await stage.client.get(blobPath(repository, blob!)), blob!);
    }
    const scopes = tokens.requests().map(({ query }) => new URLSearchParams(query).get('scope'));
    expect(scopes).toEqual(['repository:one:pull', 'repository:two:pull']);
  });

  test('an answer with access_token counts', async () => {
    const [stage] = await bearerStage({ may: () => true, field: 'access_token', lifetime: 300 });
    const [blob] = put(stage, 'a');
    expectWhole(await stage.client.get(blobPath('a', blob!)), blob!);
  });

  test('beside a Basic one, whichever comes first', async () => {
    const [stage, tokens] = await bearerStage({ may: () => true });
    const [blob] = put(stage, 'a');
    const path = blobPath('a', blob!);
    const scope = 'repository:a:pull';
    stage.registry.on(
      { path },
      {
        headers: {
          'www-authenticate': `Basic realm="x", Bearer realm="${tokens.realm}",service="scripted",scope="${scope}"`,
        },
      },
      1,
    );
    expectWhole(await stage.client.get(path), blob!);
  });

  test('a HEAD stays a HEAD', async () => {
    const [stage] = await bearerStage({ may: () => true });
    const [blob] = put(stage, 'a');
    const path = blobPath('a', blob!);
    expect((await stage.client.head(path)).status).toBe(200);
    expect(stage.registry.requests.find({ path }).map(({ method }) => method)).toEqual(['HEAD', 'HEAD']);
  });

  test('a token that ended is renewed once', async () => {
    const [stage, tokens] = await bearerStage({ may: () => true });
    const [first, second] = put(stage, 'a', 2);
    expectWhole(await stage.client.get(blobPath('a', first!)), first!);
    tokens.expireAll();
    stage.registry.requests.forget();
    expectWhole(await stage.client.get(blobPath('a', second!)), second!);
    expect(stage.registry.requests.all.map(({ path, status }) => [path, status])).toEqual([
      [blobPath('a', second!), 401],
      ['/token', 200],
      [blobPath('a', second!), 200],
    ]);
  });

  test('a token that is never accepted is fetched once, and the client sees the challenge', async () => {
    const [stage, tokens] = await bearerStage({ may: () => true });
    const [blob] = put(stage, 'a');
    stage.registry.on({ path: '/token' }, () => {
      tokens.expireAll();
      return {};
    });
    const pulled = await stage.client.get(blobPath('a', blob!));
    expect(pulled.status).toBe(401);
    expect(pulled.headers['www-authenticate']).toContain(tokens.realm);
    expect(tokens.requests()).toHaveLength(1);
  });

  test('requests that come together share one token request', async () => {
    const [stage, tokens] = await bearerStage({ may: () => true });
    const { registry, client } = stage;
    const blobs = put(stage, 'a', 20);
    const held = registry.hold({ path: '/token' }, 'headers');
    const pulls = blobs.map((blob) => client.get(blobPath('a', blob)));
    // all twenty are challenged before any token is there
    for (const _ of blobs) await registry.nextRequest({ path: /blobs/ });
    held.release();
    const pulled = await Promise.all(pulls);
    pulled.forEach((one, index) => expectWhole(one, blobs[index]!));
    expect(tokens.requests()).toHaveLength(1);
  });

  test('a token service that is down does not take what is cached with it', async () => {
    const [stage] = await bearerStage({ may: () => true });
    const [blob, other] = put(stage, 'a', 2);
    const path = blobPath('a', blob!);
    expectWhole(await stage.client.get(path), blob!);
    await stage.proxy.stored(blob!);
    stage.registry.on({ path: '/token' }, { status: 503 });
    stage.registry.on({ path: /^\/v2\// }, { status: 503 });
    const again = await stage.client.get(path);
    expectWhole(again, blob!);
    expect(cacheStatus(again)).toBe('HIT');
    expect((await stage.client.get(blobPath('a', other!))).status).toBe(503);
  });
});

describe('/v2/ and what follows agree', () => {
  test('without any credentials the challenge of the registry is shown', async () => {
    const [stage, tokens] = await bearerStage({ may: () => true });
    const ping = await stage.client.get('/v2/');
    expect(ping.status).toBe(401);
    expect(ping.headers['www-authenticate']).toContain(tokens.realm);
    expect(ping.headers['docker-distribution-api-version'] ?? 'registry/2.0').toBe('registry/2.0');
    // a client that has none goes on as podman does, and is helped
    const [blob] = put(stage, 'a');
    expectWhole(await stage.client.get(blobPath('a', blob!)), blob!);
  });

  test('an open registry is open', async () => {
    const stage = await stageOf({});
    expect((await stage.client.get('/v2/')).status).toBe(200);
  });

  test('with credentials that only the proxy has, the ping succeeds', async () => {
    const stage = await stageOf({ env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:secret` }) });
    stage.registry.protect(basicGuard({ users: USERS }));
    expect((await stage.client.get('/v2/')).status).toBe(200);
    const [blob] = put(stage, 'a');
    expectWhole(await stage.client.get(blobPath('a', blob!)), blob!);
  });

  test("a client's own credentials are judged by the registry", async () => {
    const stage = await stageOf({ env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:secret` }) });
    stage.registry.protect(basicGuard({ users: USERS }));
    expect((await stage.client.get('/v2/', { authorization: BOB })).status).toBe(200);
    expect((await stage.client.get('/v2/', { authorization: basic('bob', 'no') })).status).toBe(401);
  });

  test('at an intercepted realm the token is fetched on the credentials of the proxy', async () => {
    const realm = closing.use(await startScriptedServer());
    const stage = await stageOf({
      registries: [realm],
      env: { AUTH_REGISTRIES: `${realm.host}:alice:secret` },
    });
    const tokens = createTokenService(realm, { users: USERS });
    stage.registry.protect(tokens.guard);
    const [blob] = put(stage, 'a/b');

    const ping = await stage.client.get('/v2/');
    expect(ping.status).toBe(401);
    expect(ping.headers['www-authenticate']).toContain(tokens.realm);
    const query = '?service=scripted&scope=repository%3Aa%2Fb%3Apull';
    const answer = await stage.newClient(realm).get(`/token${query}`);
    expect(answer.status).toBe(200);
    expect(authorizations(tokens.requests())).toEqual([ALICE]);
    const { token } = JSON.parse(answer.body.toString()) as { token: string };
    const authorization = `Bearer ${token}`;
    expectWhole(await stage.client.get(blobPath('a/b', blob!), { authorization }), blob!);
  });
});
