import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { randomBlob, type Blob } from './upstream/content.ts';
import { basic, basicGuard, type Guard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath } from './upstream/paths.ts';
import { createPullClient, type PullClient } from './upstream/pull-client.ts';
import { redirectTo } from './upstream/reply.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import type { ScriptedServer } from './upstream/scripted-server.ts';
import { startProxy, type ProxyProcess } from './upstream/start-proxy.ts';
import { createTokenService } from './upstream/token-service.ts';

/** A service account's key, as `_json_key` wants it for a password. */
const KEY = '{"type":"service_account","private_key":"a b:c\\n marked-secret-key","client_id":"1"}';
const USERS = { alice: 'marked-secret-alice', team: 'marked-secret-of-the-team', _json_key: KEY } as const;
const ALICE = basic('alice', 'marked-secret-alice');

/** Each registry is asked in the proxy's name, with the credentials said here. */
interface Registries {
  readonly alice: ScriptedRegistry;
  readonly alsoAlice: ScriptedRegistry;
  readonly google: ScriptedRegistry;
  readonly teams: ScriptedRegistry;
  readonly refresh: ScriptedRegistry;
  readonly none: ScriptedRegistry;
}

const closing = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), 'breakwater-registries-'));
let all: Registries;
/** Named by its address in the settings, and intercepted by nobody. */
let realm: ScriptedServer;
let proxy: ProxyProcess;

beforeAll(async () => {
  const one = async (): Promise<ScriptedRegistry> => closing.use(await startScriptedRegistry());
  all = {
    alice: await one(),
    alsoAlice: await one(),
    google: await one(),
    teams: await one(),
    refresh: await one(),
    none: await one(),
  };
  realm = await one();
  const dockerConfig = join(folder, 'config.json');
  const auths = {
    [all.refresh.host]: { auth: Buffer.from('u:').toString('base64'), identitytoken: 'marked-secret-first' },
  };
  writeFileSync(dockerConfig, JSON.stringify({ auths }));
  proxy = closing.use(
    await startProxy({
      registries: Object.values(all),
      env: {
        AUTH_REGISTRIES_DELIMITER: ';;;',
        AUTH_REGISTRY_DELIMITER: ':::',
        AUTH_REGISTRIES: [
          `${all.alice.host}:::alice:::marked-secret-alice`,
          `${all.alsoAlice.host}:::alice:::marked-secret-alice`,
          `${all.google.host}:::_json_key:::${KEY}`,
          `${all.teams.host}:::alice:::marked-secret-alice`,
          `${all.teams.host}/team/*:::team:::marked-secret-of-the-team`,
          `127.0.0.1:${realm.port}:::alice:::marked-secret-alice`,
        ].join(';;;'),
        AUTH_DOCKER_CONFIG: dockerConfig,
      },
    }),
  );
});

afterEach(() => {
  for (const server of [...Object.values(all), realm]) server.reset();
});

afterAll(async () => {
  await closing.disposeAsync();
  rmSync(folder, { recursive: true });
});

const clientOf = ({ host }: ScriptedServer): PullClient => closing.use(createPullClient(proxy, host));

let seed = 0;
function put(registry: ScriptedRegistry, repository: string, size = 20_000): Blob {
  seed += 1;
  const blob = randomBlob(`${repository} ${seed}`, size);
  registry.put({ repository, blobs: [blob] });
  return blob;
}

const seen = (server: ScriptedServer, path: string | RegExp): (string | undefined)[] =>
  server.requests.find({ path }).map(({ headers }) => headers.authorization);

describe('the proxy signs in to a registry', () => {
  test('that asks for Basic at /v2/ and for Bearer at its content (quay)', async () => {
    const registry = all.alice;
    const tokens = createTokenService(registry, { users: USERS });
    const asksForBasic = basicGuard({ users: USERS });
    const guard: Guard = (request, repository) =>
      request.path === '/v2/' ? asksForBasic(request, repository) : tokens.guard(request, repository);
    registry.protect(guard);
    const client = clientOf(registry);
    for (const repository of ['quay/one', 'quay/two']) {
      expect((await client.get('/v2/')).status).toBe(200);
      const blob = put(registry, repository);
      expectWhole(await client.get(blobPath(repository, blob)), blob);
    }
    // and the other way round, as containerd does
    const blob = put(registry, 'quay/three');
    expectWhole(await clientOf(registry).get(blobPath('quay/three', blob)), blob);
  });

  test('whose token service takes a JSON key for a password, and no form (GCR)', async () => {
    const registry = all.google;
    const tokens = createTokenService(registry, { users: USERS });
    registry.on({ path: tokens.path, method: 'POST' }, { status: 404 });
    registry.protect(tokens.guard);
    for (const repository of ['project/one', 'project/two']) {
      const blob = put(registry, repository);
      expectWhole(await clientOf(registry).get(blobPath(repository, blob)), blob);
    }
    // that it takes no form is learnt once
    expect(tokens.requests().map(({ method }) => method)).toEqual(['POST', 'GET', 'GET']);
    expect(tokens.requests().at(-1)?.headers.authorization).toBe(basic('_json_key', KEY));
  });

  test('whose token service takes forms (OAuth2): the password is in no header', async () => {
    const registry = all.alice;
    const tokens = createTokenService(registry, { users: USERS, refreshTokens: new Map() });
    registry.protect(tokens.guard);
    const blob = put(registry, 'forms/app');
    expectWhole(await clientOf(registry).get(blobPath('forms/app', blob)), blob);
    const [request, ...more] = tokens.requests();
    expect(more).toEqual([]);
    expect([request?.method, request?.query, request?.headers.authorization]).toEqual([
      'POST',
      '',
      undefined,
    ]);
    expect(Object.fromEntries(request?.form ?? [])).toMatchObject({
      grant_type: 'password',
      username: 'alice',
      password: 'marked-secret-alice',
      service: 'scripted',
      scope: 'repository:forms/app:pull',
      client_id: 'breakwater',
    });
  });

  test('with an identity token, and with the one that the service gives in its place', async () => {
    const registry = all.refresh;
    const refreshTokens = new Map([['marked-secret-first', 'alice']]);
    const tokens = createTokenService(registry, { users: USERS, refreshTokens, rotates: true });
    registry.protect(tokens.guard);
    const client = clientOf(registry);
    // only the proxy can show it: a client that pings first needs none
    expect((await client.get('/v2/')).status).toBe(200);
    for (const repository of ['identity/one', 'identity/two']) {
      const blob = put(registry, repository);
      expectWhole(await client.get(blobPath(repository, blob)), blob);
    }
    const shown = tokens.requests().map(({ form }) => form.get('refresh_token'));
    expect(shown[0]).toBe('marked-secret-first');
    expect(shown.slice(1)).not.toContain('marked-secret-first');
    expect(tokens.requests().every(({ method }) => method === 'POST')).toBe(true);
  });

  test('with the credentials of the repository, where a pattern has its own', async () => {
    const registry = all.teams;
    const may = (user: string | undefined, repository: string | undefined): boolean =>
      user === (repository?.startsWith('team/') === true ? 'team' : 'alice') || repository === undefined;
    const tokens = createTokenService(registry, { users: USERS, may, refreshTokens: new Map() });
    registry.protect(tokens.guard);
    for (const repository of ['team/app', 'app', 'team/deep/app']) {
      const blob = put(registry, repository);
      expectWhole(await clientOf(registry).get(blobPath(repository, blob)), blob);
    }
    expect(tokens.requests().map(({ form }) => form.get('username'))).toEqual(['team', 'alice', 'team']);

    registry.protect(basicGuard({ users: USERS, may }));
    for (const repository of ['team/basic', 'basic']) {
      const blob = put(registry, repository);
      expectWhole(await clientOf(registry).get(blobPath(repository, blob)), blob);
    }
    const shown = seen(registry, /^\/v2\/(team\/)?basic\//).filter((header) => header?.startsWith('Basic'));
    expect(new Set(shown)).toEqual(new Set([basic('team', 'marked-secret-of-the-team'), ALICE]));
  });

  test('that has its token service together with another; each has tokens of its own', async () => {
    const tokens = createTokenService(realm, {
      users: USERS,
      realmHost: '127.0.0.1',
      refreshTokens: new Map(),
    });
    for (const registry of [all.alice, all.alsoAlice]) {
      registry.protect(tokens.guard);
      const client = clientOf(registry);
      expect((await client.get('/v2/')).status).toBe(200);
      const blob = put(registry, 'shared/app');
      expectWhole(await client.get(blobPath('shared/app', blob)), blob);
    }
    const scopes = tokens.requests().map(({ form }) => form.get('scope'));
    expect(scopes.filter((scope) => scope === 'repository:shared/app:pull')).toHaveLength(2);
    const [first, second] = [all.alice, all.alsoAlice].map((registry) => seen(registry, /blobs/).at(-1));
    expect(first).toMatch(/^Bearer marked-secret-token-\d+-alice$/);
    expect(second).not.toBe(first);
  });

  test('whose token service is intercepted too, where the credentials are held for the registry alone', async () => {
    const registry = all.alice;
    const tokens = createTokenService(all.none, { users: USERS, refreshTokens: new Map() });
    registry.protect(tokens.guard);
    const client = clientOf(registry);
    expect((await client.get('/v2/')).status).toBe(200);
    const blob = put(registry, 'near/app');
    expectWhole(await client.get(blobPath('near/app', blob)), blob);
  });

  test('whose tokens live shorter than a pull takes', async () => {
    const registry = all.alice;
    const tokens = createTokenService(registry, { users: USERS, lifetime: 1, ends: true });
    registry.protect(tokens.guard);
    const blob = put(registry, 'short/app', 2_000_000);
    const path = blobPath('short/app', blob);
    // the connection breaks when the token has ended: the rest takes another one
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    registry.on({ path, method: 'GET' }, (_, turn) =>
      turn === 1 ? { stall: { at: 1_000_000, until: ended }, cutAt: 1_100_000 } : {},
    );
    const pull = clientOf(registry).open(path);
    await pull.reached(900_000);
    setTimeout(resolve, 1_100);
    expectWhole(await pull.done, blob);
    expect(seen(registry, path).filter((header) => header !== undefined).length).toBeGreaterThan(1);
  });
});

describe('the challenge of a host', () => {
  test('that a registry redirected to is not answered with what is held for a token service by its name', async () => {
    const registry = all.none;
    const other = closing.use(await startScriptedRegistry());
    const tokens = createTokenService(realm, {
      users: USERS,
      realmHost: '127.0.0.1',
      refreshTokens: new Map(),
    });
    other.protect(tokens.guard);
    const blob = put(other, 'a/b');
    const path = blobPath('a/b', blob);
    registry.put({ repository: 'a/b', blobs: [blob] });
    registry.on({ path }, redirectTo(`${other.origin()}${path}`));
    expect((await clientOf(registry).get(path)).status).toBe(401);
    expect(seen(realm, tokens.path)).toEqual([undefined]);
    expect(tokens.requests()[0]?.method).toBe('GET');
  });

  test('may ask to pull and push with one scope, and the token is for both', async () => {
    const registry = all.alice;
    const tokens = createTokenService(registry, { users: USERS, refreshTokens: new Map() });
    registry.protect(tokens.guard);
    const blob = put(registry, 'both/app');
    const path = blobPath('both/app', blob);
    const scope = 'repository:both/app:pull,push';
    const challenge = `Bearer realm="${tokens.realm}",service="scripted",scope="${scope}"`;
    registry.on({ path }, { status: 401, headers: { 'www-authenticate': challenge } }, 1);
    await clientOf(registry).get(path);
    expect(tokens.requests()[0]?.form.get('scope')).toBe(scope);
  });
});

describe('a token service that refuses the credentials', () => {
  test('is not shown them again for a while, as accounts are locked for less', async () => {
    const registry = all.alice;
    const tokens = createTokenService(registry, { users: { alice: 'marked-secret-another' } });
    registry.protect(tokens.guard);
    const path = blobPath('refused/app', put(registry, 'refused/app'));
    for (let pull = 0; pull < 3; pull += 1) expect((await clientOf(registry).get(path)).status).toBe(401);
    expect(tokens.requests().map(({ method }) => method)).toEqual(['POST', 'GET']);
  });
});

describe('a token service that cannot answer', () => {
  test.each([429, 503])('with %d is an outage, and what is cached is served', async (status) => {
    const registry = all.alice;
    const tokens = createTokenService(registry, { users: USERS, lifetime: 1, ends: true });
    registry.protect(tokens.guard);
    const repository = `outage/app${status}`;
    const image = craftImage({ seed: repository });
    registry.putImage(repository, image, '1');
    const client = clientOf(registry);
    const options = { headers: { accept: ANY_MANIFEST } };
    const path = manifestPath(repository, '1');
    expectWhole(await client.get(path, options), image.manifest);
    registry.on({ path: tokens.path }, { status, headers: { 'retry-after': '1' } });
    tokens.expireAll();
    const again = await client.get(path, options);
    expectWhole(again, image.manifest);
    expect(cacheStatus(again)).toBe('STALE');
  });
});
