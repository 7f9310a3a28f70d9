import { execFileSync } from 'node:child_process';
import { renameSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, tryToServe, type LocalProxy, type Settings } from './support/local-proxy.ts';
import { secretIn } from './support/marked-secrets.ts';
import {
  ask,
  askPlain,
  askRegistry,
  openSecure,
  openTunnel,
  sendRaw,
  type Question,
} from './support/wire.ts';
import { craftImage, ANY_MANIFEST } from './upstream/image.ts';
import { manifestPath } from './upstream/paths.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

const ALICE = 'alice:marked-secret:land';
const CI = 'ci:pipeline';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: ScriptedRegistry;
let usersFile: string;
const proxies: LocalProxy[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  usersFile = `${folder.path}/users`;
  writeUsers(usersFile, ALICE, CI);
  registry = await startScriptedRegistry();
  for (const name of ['team/app', 'team/secret', 'public/app'])
    registry.putImage(name, craftImage({ seed: name }), '1');
});

afterAll(async () => {
  for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
  await registry?.close();
  await folder?.[Symbol.asyncDispose]();
});

async function start(settings: Settings): Promise<LocalProxy> {
  const proxy = await startLocalProxy(folder.path, {
    LISTEN: '0.0.0.0:0',
    CACHE_DIR: `${folder.path}/cache-${proxies.length}`,
    REGISTRIES: `http://${registry.host}`,
    ALLOW_PUSH: 'true',
    LOG_LEVEL: 'trace',
    ...settings,
  });
  proxies.push(proxy);
  return proxy;
}

/** Writes an htpasswd file, one user each kind of hash in turn, and puts it where it belongs in one step. */
function writeUsers(file: string, ...logins: readonly string[]): void {
  const lines = logins.map((login, at) => {
    const [name = '', ...password] = login.split(':');
    const flags = [['-nbB', '-C6'], ['-nbm'], ['-nbs']][at % 3] ?? [];
    return execFileSync('htpasswd', [...flags, name, password.join(':')], { encoding: 'utf8' }).trim();
  });
  writeFileSync(`${file}.new`, `${lines.join('\n')}\n`);
  renameSync(`${file}.new`, file);
}

const connected = async (
  proxy: LocalProxy,
  question: Question = {},
  target = registry.host,
): Promise<number> => {
  const { socket, status } = await openTunnel(proxy, target, question.from, question.login);
  socket.destroy();
  return status;
};
const manifest = (proxy: LocalProxy, repository: string, question: Question = {}) =>
  askRegistry(proxy, registry.host, manifestPath(repository, '1'), {
    ...question,
    headers: { accept: ANY_MANIFEST },
  });
const errorOf = (body: Buffer | string) => JSON.parse(String(body)).errors[0];

describe('by address', () => {
  test('those of ALLOW_CLIENTS may, those of DENY_CLIENTS may not, the others neither', async () => {
    const proxy = await start({ ALLOW_CLIENTS: '127.0.0.0/29', DENY_CLIENTS: '127.0.0.3' });
    for (const [from, status] of [
      ['127.0.0.1', 200],
      ['127.0.0.7', 200],
      ['127.0.0.3', 403],
      ['127.0.0.8', 403],
    ] as const) {
      expect(await connected(proxy, { from })).toBe(status);
      expect((await askPlain(proxy, '/', { from })).status).toBe(status);
      const plain = await askPlain(proxy, `http://${registry.host}/v2/`, { from });
      expect(plain.status).toBe(status);
    }
    const { body } = await askPlain(proxy, `http://${registry.host}/v2/`, { from: '127.0.0.8' });
    expect(errorOf(body)).toMatchObject({
      code: 'DENIED',
      detail: { reason: 'ACCESS_DENIED', mend: expect.stringContaining('ALLOW_CLIENTS') },
    });
    const line = await proxy.untilAnswered(
      ({ method, client }) => method === 'CONNECT' && client === '127.0.0.8',
    );
    expect(line).toMatchObject({
      status: '403',
      uri: registry.host,
      host: registry.host,
      error: 'ACCESS_DENIED',
    });
  });

  test('a client of IPv4 is the same at a listener for both families', async () => {
    const proxy = await start({ LISTEN: '[::]:0', ALLOW_CLIENTS: '127.0.0.1' });
    expect(await connected(proxy, { from: '127.0.0.1' })).toBe(200);
    expect(await connected(proxy, { from: '127.0.0.2' })).toBe(403);
  });
});

describe('by user', () => {
  let proxy: LocalProxy;
  beforeAll(async () => {
    proxy = await start({ PROXY_USERS_FILE: usersFile });
  });

  test('a CONNECT without a login, or with a wrong one, is 407 and says how to log in', async () => {
    expect(await connected(proxy, { login: ALICE })).toBe(200);
    expect(await connected(proxy, { login: CI })).toBe(200);
    for (const login of [
      'alice:marked-secret',
      'ci:marked-secret:land',
      'eve:marked-secret:land',
      'alice:',
      ':',
    ])
      expect(await connected(proxy, { login })).toBe(407);
    const raw = await sendRaw(proxy, `CONNECT ${registry.host} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(raw).toMatch(/^HTTP\/1\.1 407 Proxy Authentication Required\r\n/);
    expect(raw).toMatch(/\r\nProxy-Authenticate: Basic realm="Breakwater", charset="UTF-8"\r\n/);
    expect(errorOf(raw.slice(raw.indexOf('\r\n\r\n')))).toMatchObject({
      code: 'UNAUTHORIZED',
      detail: { reason: 'LOGIN_REQUIRED', mend: expect.stringContaining('HTTPS_PROXY=') },
    });
    expect(await connected(proxy, {}, '192.0.2.1:443')).toBe(407);
  });

  test('so is a plain request, and the proxy’s own pages need none', async () => {
    const path = `http://${registry.host}/v2/`;
    const refused = await askPlain(proxy, path);
    expect([refused.status, refused.headers['proxy-authenticate']]).toEqual([
      407,
      expect.stringContaining('Basic'),
    ]);
    expect((await askPlain(proxy, path, { login: ALICE })).status).toBe(200);
    expect((await askPlain(proxy, '/ca.crt')).status).toBe(200);
  });

  test('the login goes no further, and is in no log', async () => {
    await manifest(proxy, 'team/app', { login: ALICE });
    await askPlain(proxy, `http://${registry.host}${manifestPath('team/app', '1')}`, { login: ALICE });
    await connected(proxy, { login: 'alice:marked-secret-wrong' });
    expect(registry.requests.count()).toBeGreaterThan(1);
    expect(JSON.stringify(registry.requests.all)).not.toContain('proxy-authorization');
    await proxy.untilAnswered(({ error, client }) => error === 'LOGIN_REQUIRED' && client === '127.0.0.1');
    const written = [...proxy.log, ...proxy.accessLog].join('\n');
    expect(secretIn(written)).toBeUndefined();
  });

  test('the name of the user is in the access log', async () => {
    await manifest(proxy, 'team/app', { login: ALICE });
    const line = await proxy.untilAnswered(
      ({ uri, user }) => uri?.includes('team/app') === true && user !== undefined,
    );
    expect(line).toMatchObject({ user: 'alice', status: '200' });
  });

  test('many connections at once cost one hash, and later ones none', async () => {
    const slow = `${folder.path}/slow-users`;
    writeFileSync(
      slow,
      execFileSync('htpasswd', ['-nbB', '-C14', 'alice', 'marked-secret'], { encoding: 'utf8' }),
    );
    const own = await start({ PROXY_USERS_FILE: slow });
    for (const _ of [1, 2]) {
      const begun = performance.now();
      const all = await Promise.all(
        Array.from({ length: 60 }, () => connected(own, { login: 'alice:marked-secret' })),
      );
      expect(new Set(all)).toEqual(new Set([200]));
      // a hash of this cost takes more than a second
      expect(performance.now() - begun).toBeLessThan(15_000);
    }
  });
});

describe('the file of users', () => {
  test('is read again when it is replaced, and a connection of a user who is gone ends', async () => {
    const file = `${folder.path}/changing`;
    writeUsers(file, ALICE, CI);
    const proxy = await start({ PROXY_USERS_FILE: file });
    const kept = await openSecure(proxy, registry.host, { login: ALICE });
    const question = { headers: { host: registry.host, accept: ANY_MANIFEST }, keepAlive: true };
    expect((await ask(kept, manifestPath('team/app', '1'), question)).status).toBe(200);

    writeUsers(file, 'bob:builder', CI);
    await vi.waitFor(async () => expect(await connected(proxy, { login: 'bob:builder' })).toBe(200), 5_000);
    expect(await connected(proxy, { login: ALICE })).toBe(407);
    expect(await connected(proxy, { login: CI })).toBe(200);
    const gone = await ask(kept, manifestPath('team/app', '1'), question);
    expect([gone.status, gone.headers.connection]).toEqual([403, 'close']);
  });

  test('is read again when it is written in place', async () => {
    const file = `${folder.path}/in-place`;
    writeUsers(file, ALICE);
    const proxy = await start({ PROXY_USERS_FILE: file });
    writeUsers(`${file}-aside`, 'bob:builder');
    writeFileSync(file, readFileSync(`${file}-aside`));
    await vi.waitFor(async () => expect(await connected(proxy, { login: 'bob:builder' })).toBe(200), 5_000);
  });

  test('that becomes unreadable leaves those who were known, and says so', async () => {
    const file = `${folder.path}/broken`;
    writeUsers(file, ALICE);
    const proxy = await start({ PROXY_USERS_FILE: file });
    writeFileSync(file, 'alice:marked-secret-plain-text\n');
    const line = await proxy.untilLogged((text) => text.includes('cannot be read again'));
    expect(line).toContain('line 1');
    expect(line).not.toContain('marked-secret-plain-text');
    expect(await connected(proxy, { login: ALICE })).toBe(200);
  });

  test.each([
    ['is missing', undefined, 'cannot be read'],
    ['has a line that cannot be used', 'alice:marked-secret-plain-text\n', 'line 1'],
  ])('that %s ends the start', async (_name, text, said) => {
    const file = `${folder.path}/unusable`;
    if (text !== undefined) writeFileSync(file, text);
    const output = await tryToServe({
      LISTEN: '127.0.0.1:0',
      CACHE_DIR: `${folder.path}/unusable-cache`,
      CA_DIR: `${folder.path}/ca`,
      PROXY_USERS_FILE: file,
    });
    expect(output.code).toBe(2);
    expect(output.stderr).toContain(said);
    expect(output.stderr).not.toContain('marked-secret-plain-text');
  });
});

describe('by rule', () => {
  let proxy: LocalProxy;
  beforeAll(async () => {
    const rules = [
      { access: 'deny', clients: '127.0.0.66' },
      { access: 'allow', users: 'ci' },
      { access: 'deny', repository: 'team/secret' },
      { access: 'allow', users: 'alice', action: 'pull' },
      { access: 'allow', clients: '127.0.0.9', repository: 'public/*', action: 'pull' },
    ];
    const file = `${folder.path}/rules.yaml`;
    // JSON is YAML
    writeFileSync(file, JSON.stringify({ access: { rules, users_file: usersFile } }));
    proxy = await start({ CONFIG_FILE: file });
  });

  test.each([
    ['127.0.0.1', ALICE, 'team/app', 200],
    ['127.0.0.1', ALICE, 'team/secret', 403],
    ['127.0.0.1', CI, 'team/secret', 200],
    ['127.0.0.9', undefined, 'public/app', 200],
    ['127.0.0.9', undefined, 'team/app', 403],
  ])('from %s as %s, %s is %d', async (from, login, repository, status) => {
    const { body, ...answer } = await manifest(proxy, repository, {
      from,
      ...(login === undefined ? {} : { login }),
    });
    expect(answer.status).toBe(status);
    // warm or not, and whatever the way
    const again = await manifest(proxy, repository, { from, ...(login === undefined ? {} : { login }) });
    expect(again.status).toBe(status);
    const line = await proxy.untilAnswered(
      ({ uri, client, user }) =>
        uri?.includes(repository) === true && client === from && user === login?.split(':')[0],
    );
    expect(line['error']).toBe(status === 403 ? 'ACCESS_DENIED' : undefined);
    expect(body.toString().includes('ACCESS_DENIED')).toBe(status === 403);
  });

  test('a push is none of those that may only pull', async () => {
    const push = (login: string): Promise<{ status: number }> =>
      askRegistry(proxy, registry.host, '/v2/team/app/blobs/uploads/', { method: 'POST', login });
    expect((await push(ALICE)).status).toBe(403);
    expect((await push(CI)).status).not.toBe(403);
  });

  test('who could do nothing is turned away at once, and asked to log in where that helps', async () => {
    expect(await connected(proxy, { from: '127.0.0.66', login: CI })).toBe(403);
    expect(await connected(proxy, { from: '127.0.0.1' })).toBe(407);
    // may enter, to pull what is public
    expect(await connected(proxy, { from: '127.0.0.9' })).toBe(200);
  });

  test('a rule for repositories opens no tunnel', async () => {
    expect(await connected(proxy, { from: '127.0.0.9' }, '127.0.0.1:1024')).toBe(407);
  });
});
