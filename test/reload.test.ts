import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomBlob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectError, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { adminOf } from './support/admin.ts';
import { markedSecret } from './support/marked-secrets.ts';

const MIB = 1024 * 1024;

let folder: string;
let file: string;
let stage: Stage;
let other: ScriptedRegistry;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-reload-'));
  file = join(folder, 'breakwater.yaml');
  other = await startScriptedRegistry({ tls: false });
});

afterEach(async () => {
  await stage.close();
  await other.close();
  rmSync(folder, { recursive: true });
});

/** Starts on a configuration file, in which the registries are as well. */
async function start(yaml: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  writeFileSync(file, yaml);
  stage = await startStage({ env: { CONFIG_FILE: file, ...env } });
}

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

function logged(message: string): readonly Line[] {
  const lines = stage.proxy.stderr.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Line).filter(({ msg }) => msg.includes(message));
}

/** Writes the file and has it read; gives what was said of it. */
async function reload(yaml: string): Promise<Line> {
  writeFileSync(file, yaml);
  const outcomes = () => [...logged('configuration reloaded'), ...logged('configuration not reloaded')];
  const before = outcomes().length;
  process.kill(stage.proxy.pid, 'SIGHUP');
  await expect.poll(() => outcomes().length).toBe(before + 1);
  const after = outcomes();
  // the newest is the last of its kind; the two kinds are told apart by what was there before
  return after.toSorted((a, b) => String(a['time']).localeCompare(String(b['time']))).at(-1) as Line;
}

const FIRST = markedSecret('the-first');

describe('what is in force after SIGHUP', () => {
  test('tag rules', async () => {
    await start('');
    const image = craftImage({ seed: 'reload', layers: [1000] });
    stage.registry.putImage('a/b', image, 'latest');
    const path = manifestPath('a/b', 'latest');
    const pull = async () => cacheStatus(await stage.client.get(path, { headers: { accept: ANY_MANIFEST } }));
    expect(await pull()).toBe('MISS');
    expect(await pull()).toBe('REVALIDATED');
    const { changed } = await reload('tags:\n  rules: [{ repository: a/b, fresh: 1h }]\n');
    expect(changed).toEqual([
      { setting: 'TAG_RULES', before: '[]', after: '[{"repository":"a/b","fresh":"1h"}]' },
    ]);
    expect(await pull()).toBe('HIT');
    await reload('tags:\n  rules: []\n');
    expect(await pull()).toBe('REVALIDATED');
  });

  test('registries: one that is added is cached, one that is taken out is tunnelled', async () => {
    const blob = randomBlob('reload registries', 1000);
    other.put({ repository: 'a/b', blobs: [blob] });
    const list = (...registries: readonly ScriptedRegistry[]) =>
      `registries:\n  intercept: [${registries.map(({ host }) => `"http://${host}"`).join(', ')}]\n`;
    stage = await startStage({
      env: (registry) => {
        writeFileSync(file, list(registry));
        return { CONFIG_FILE: file, REGISTRIES: '' };
      },
    });
    // a tunnel leads to it, where nobody speaks TLS
    expect((await stage.newClient(other).get(blobPath('a/b', blob))).status).toBe(0);
    const { changed } = await reload(list(stage.registry, other));
    expect(changed).toMatchObject([{ setting: 'REGISTRIES' }]);
    const listed = stage.newClient(other);
    expectWhole(await listed.get(blobPath('a/b', blob)), blob);
    expectWhole(await untilHit(() => listed.get(blobPath('a/b', blob))), blob);
    await reload(list(stage.registry));
    // what came in before is served once more, and then closed
    const last = await listed.get(blobPath('a/b', blob));
    expectWhole(last, blob);
    expect(last.headers['connection']).toBe('close');
    expect((await stage.newClient(other).get(blobPath('a/b', blob))).status).toBe(0);
  });

  test('credentials, which are told to nobody', async () => {
    const credentials = (password: string) =>
      `registries:\n  credentials: [{ host: "${stage.registry.host}", username: alice, password: ${password} }]\n`;
    await start('');
    const blob = randomBlob('reload credentials', 1000);
    stage.registry.put({ repository: 'a/b', blobs: [blob] });
    stage.registry.protect(basicGuard({ users: { alice: FIRST } }));
    expect((await stage.client.get(blobPath('a/b', blob))).status).toBe(401);
    const { changed } = await reload(credentials(FIRST));
    expect(changed).toEqual([{ setting: 'AUTH_REGISTRIES', before: '', after: '[redacted]' }]);
    expectWhole(await stage.client.get(blobPath('a/b', blob)), blob);
    const requests = stage.registry.requests.find({ path: blobPath('a/b', blob) });
    expect(requests.at(-1)?.headers.authorization).toBe(basic('alice', FIRST));
    expect(stage.proxy.stderr).not.toContain(FIRST);
  });

  test('who may use the proxy, also on connections that were made before', async () => {
    await start('');
    const blob = randomBlob('reload access', 1000);
    stage.registry.put({ repository: 'a/b', blobs: [blob] });
    expectWhole(await stage.client.get(blobPath('a/b', blob)), blob);
    await reload('access:\n  deny_clients: 127.0.0.1\n');
    const refused = await stage.client.get(blobPath('a/b', blob));
    expectError(refused, 403, 'ACCESS_DENIED');
    expect((await stage.newClient().get(blobPath('a/b', blob))).error).toContain('403');
    await reload('');
    expectWhole(await stage.newClient().get(blobPath('a/b', blob)), blob);
  });

  test('who may log in: whom another list admitted is out', async () => {
    const users = (name: string) => {
      const list = join(folder, name);
      // the word "secret" in each
      writeFileSync(list, `${name}:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n`);
      return `access:\n  users_file: ${list}\n`;
    };
    await start(users('alice'));
    const blob = randomBlob('reload users', 1000);
    stage.registry.put({ repository: 'a/b', blobs: [blob] });
    const status = async (client = stage.newClient()) => client.get(blobPath('a/b', blob));
    expect((await status()).error).toContain('407');
    await reload('');
    expectWhole(await status(), blob);
    const before = stage.newClient();
    expectWhole(await status(before), blob);
    await reload(users('bob'));
    expectError(await status(before), 403, 'ACCESS_DENIED');
    expect((await status()).error).toContain('407');
  });

  test('the bounds of the cache', async () => {
    await start('cache:\n  max_size: 1m\n');
    const blob = randomBlob('reload bounds', 2 * MIB);
    stage.registry.put({ repository: 'a/b', blobs: [blob] });
    for (let round = 0; round < 2; round += 1)
      expect(cacheStatus(await stage.client.get(blobPath('a/b', blob)))).toBe('MISS');
    await reload('cache:\n  max_size: 8m\n');
    expect(cacheStatus(await stage.client.get(blobPath('a/b', blob)))).toBe('MISS');
    await stage.proxy.stored(blob);
    expect(cacheStatus(await stage.client.get(blobPath('a/b', blob)))).toBe('HIT');
  });

  test('whether pushes are allowed', async () => {
    await start('');
    const push = async () => stage.client.get('/v2/a/b/blobs/uploads/', { method: 'POST' });
    expectError(await push(), 405, 'PUSH_DISABLED');
    await reload('push:\n  allowed: true\n');
    expect((await push()).status).not.toBe(405);
  });

  test('the level of the log', async () => {
    await start('log:\n  level: error\n');
    writeFileSync(file, 'log:\n  level: info\n');
    process.kill(stage.proxy.pid, 'SIGHUP');
    await expect.poll(() => logged('configuration reloaded')).toHaveLength(1);
  });
});

describe('a configuration that cannot be used', () => {
  test('changes nothing, and the log says what is wrong and where', async () => {
    await start('tags:\n  rules: [{ fresh: 1h }]\n');
    const image = craftImage({ seed: 'refused', layers: [1000] });
    stage.registry.putImage('a/b', image, 'latest');
    const path = manifestPath('a/b', 'latest');
    const pull = async () => cacheStatus(await stage.client.get(path, { headers: { accept: ANY_MANIFEST } }));
    await pull();
    const refused = await reload('cache:\n  max_size: much\ntags:\n  rules: []\n');
    expect(refused).toMatchObject({
      level: 'error',
      msg: 'configuration not reloaded: the one from before stays in force',
      reason: expect.stringContaining(`${file}:2:3: cache.max_size: much`),
    });
    expect(await pull()).toBe('HIT');
    expect((await reload('tags:\n  rules: []\n')).msg).toBe('configuration reloaded');
    expect(await pull()).toBe('REVALIDATED');
  });

  test.each([
    ['upstream:\n  extra_ca_file: /nonexistent\n', '/nonexistent'],
    ['access:\n  users_file: /nonexistent\n', '/nonexistent'],
    ['registries:\n  docker_config: /nonexistent\n', '/nonexistent'],
  ])('because of a file that it names: %j', async (yaml, reason) => {
    await start('', { EXTRA_CA_FILE: '' });
    const refused = await reload(`${yaml}push:\n  allowed: true\n`);
    expect(refused).toMatchObject({ level: 'error', reason: expect.stringContaining(reason) });
    const { status } = await stage.client.get('/v2/a/b/blobs/uploads/', { method: 'POST' });
    expect(status).toBe(405);
  });
});

test('what needs a restart stays as it is, and the log says so at each reload', async () => {
  await start('');
  for (let round = 1; round < 3; round += 1) {
    const { changed } = await reload('listen:\n  proxy_protocol_from: 10.0.0.0/8\npush:\n  allowed: true\n');
    expect(changed).toHaveLength(round === 1 ? 1 : 0);
    await expect.poll(() => logged('needs a restart')).toHaveLength(round);
  }
  expect(logged('needs a restart')[0]).toMatchObject({
    level: 'warn',
    setting: 'PROXY_PROTOCOL_FROM',
    running: '',
    read: '10.0.0.0/8',
  });
  await reload('push:\n  allowed: true\n');
  expect(logged('needs a restart')).toHaveLength(2);
});

test('warnings that the new configuration brings are logged once', async () => {
  await start('');
  await reload('upstream:\n  offline: true\n');
  await expect.poll(() => logged('configuration warning')).toHaveLength(1);
  await reload('upstream:\n  offline: true\n');
  expect(logged('configuration warning')).toMatchObject([
    { level: 'warn', warning: expect.stringContaining('OFFLINE=true') },
  ]);
});

test('downloads under way are not cut, and go on over many reloads', async () => {
  await start('');
  const blob = randomBlob('under way', 4 * MIB);
  stage.registry.put({ repository: 'a/b', blobs: [blob] });
  const path = blobPath('a/b', blob);
  const hold = stage.registry.hold({ path }, MIB);
  const pulls = [1, 2, 3].map(() => stage.newClient().open(path));
  await Promise.all(pulls.map((pull) => pull.reached(MIB / 2)));
  for (let round = 0; round < 10; round += 1)
    await reload(`upstream:\n  rate_limit_reserve: ${round}\naccess:\n  deny_clients: 127.0.0.1\n`);
  hold.release();
  for (const pulled of await Promise.all(pulls.map(({ done }) => done))) expectWhole(pulled, blob);
  expect(stage.registry.requests.count({ method: 'GET', path })).toBe(1);
});

test('a burst of signals is taken one after the other, and one while it drains is let go by', async () => {
  await start('');
  for (let round = 0; round < 20; round += 1) process.kill(stage.proxy.pid, 'SIGHUP');
  await expect.poll(() => logged('configuration reloaded').length).toBeGreaterThan(0);
  const stopped = stage.proxy.stop();
  process.kill(stage.proxy.pid, 'SIGHUP');
  expect(await stopped).toBe(0);
});

describe('POST /api/v1/config/reload', () => {
  const PATH = '/api/v1/config/reload';

  test('does the same, and tells what became of it', async () => {
    await start('cache:\n  max_size: 1m\n', { ADMIN_LISTEN: '127.0.0.1:0' });
    const admin = await adminOf(stage.proxy);
    writeFileSync(file, 'cache:\n  max_size: 8m\nlisten:\n  address: 127.0.0.1:1\n');
    const applied = await admin.ask(PATH, {}, 'POST');
    expect(applied.status).toBe(200);
    expect(JSON.parse(applied.body)).toMatchObject({
      changed: [{ setting: 'CACHE_MAX_SIZE', before: '1m', after: '8m' }],
    });
    writeFileSync(file, 'cache:\n  max_size: much\n');
    const refused = await admin.ask(PATH, {}, 'POST');
    expect(refused.status).toBe(422);
    expect(refused.body).toMatch(/breakwater\.yaml:2:/);
  });

  test('is for programs on the same machine, and for no page in a browser', async () => {
    await start('', { ADMIN_LISTEN: '127.0.0.1:0' });
    const admin = await adminOf(stage.proxy);
    const statusOf = async (headers: Readonly<Record<string, string>>, method = 'POST') =>
      (await admin.ask(PATH, headers, method)).status;
    expect(await statusOf({ origin: 'http://evil.example' })).toBe(403);
    expect(await statusOf({ host: 'evil.example' })).toBe(403);
    expect(await statusOf({}, 'GET')).toBe(405);
    expect(logged('configuration reloaded')).toEqual([]);
  });
});
