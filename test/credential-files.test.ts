import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomBlob, type Blob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { blobPath, cacheStatus, expectError, expectWhole } from './upstream/paths.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { createTokenService } from './upstream/token-service.ts';

const USERS = { alice: 'marked-secret-first', bob: 'marked-secret-second' } as const;
const ALICE = basic('alice', USERS.alice);
const BOB = basic('bob', USERS.bob);

let folder: string;
let stage: Stage;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-credentials-'));
});

afterEach(async () => {
  await stage.close();
  // whatever happened, no secret was told
  const written = stage.proxy.stderr + JSON.stringify(stage.proxy.lines);
  const secrets = [...Object.values(USERS), ALICE.slice(6), BOB.slice(6)];
  if (secrets.some((secret) => written.includes(secret))) throw new Error('a secret was logged');
  rmSync(folder, { recursive: true });
});

/** @param env the settings, made when the registry is there. */
async function start(env: (registry: ScriptedRegistry) => Record<string, string>): Promise<void> {
  stage = await startStage({ env });
  stage.registry.protect(basicGuard({ users: USERS }));
}

let seed = 0;
function put(): Blob {
  seed += 1;
  const blob = randomBlob(`credentials ${seed}`, 10_000);
  stage.registry.put({ repository: 'a/b', blobs: [blob] });
  return blob;
}

/** Whom the registry takes the proxy for. */
async function shown(): Promise<string | undefined> {
  const blob = put();
  const path = blobPath('a/b', blob);
  const pulled = await stage.client.get(path);
  if (pulled.status === 200) expectWhole(pulled, blob);
  return stage.registry.requests.find({ path }).at(-1)?.headers.authorization;
}

/** Resolves when the log has that many lines with these words. */
async function logged(words: string, count = 1): Promise<void> {
  while (stage.proxy.stderr.split(words).length <= count)
    await new Promise((resolve) => void setTimeout(resolve, 20));
}

const dockerConfig = (host: string, user: keyof typeof USERS): string =>
  JSON.stringify({ auths: { [host]: { auth: basic(user, USERS[user]).slice(6) } } });

/** As editors and tools do it: another file takes the name. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

describe('credentials are read again when they change', () => {
  test('in the file of AUTH_REGISTRIES, renamed over or written in place', async () => {
    const path = join(folder, 'list');
    await start(({ host }) => {
      writeFileSync(path, `${host}:alice:${USERS.alice}\n`);
      return { AUTH_REGISTRIES_FILE: path };
    });
    expect(await shown()).toBe(ALICE);
    expect((await stage.client.get('/v2/')).status).toBe(200);
    replace(path, `${stage.registry.host}:bob:${USERS.bob}\n`);
    await logged('credentials were read again');
    expect(await shown()).toBe(BOB);
    // the ping is not answered from what the old ones gave
    replace(path, `${stage.registry.host}:bob:not-this\n`);
    await logged('credentials were read again', 2);
    expect((await stage.client.get('/v2/')).status).toBe(401);
    writeFileSync(path, `${stage.registry.host}:alice:${USERS.alice}\n`);
    await logged('credentials were read again', 3);
    expect(await shown()).toBe(ALICE);
  });

  test('in the configuration file', async () => {
    const path = join(folder, 'breakwater.yaml');
    const yaml = (host: string, user: keyof typeof USERS): string =>
      `registries: { credentials: [{ host: "${host}", username: ${user}, password: ${USERS[user]} }] }`;
    await start(({ host }) => {
      writeFileSync(path, yaml(host, 'alice'));
      return { CONFIG_FILE: path };
    });
    expect(await shown()).toBe(ALICE);
    replace(path, yaml(stage.registry.host, 'bob'));
    await logged('credentials were read again');
    expect(await shown()).toBe(BOB);
  });

  test.each(['.dockerconfigjson', '.dockercfg'])(
    'in a Kubernetes secret (%s), whose link "..data" is swapped',
    async (name) => {
      const write = (version: string, host: string, user: keyof typeof USERS): void => {
        mkdirSync(join(folder, version));
        const text = dockerConfig(host, user);
        const old = JSON.stringify((JSON.parse(text) as { auths: unknown }).auths);
        writeFileSync(join(folder, version, name), name === '.dockercfg' ? old : text);
        // kubelet's atomic writer
        symlinkSync(version, join(folder, '..data_tmp'));
        renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
      };
      await start(({ host }) => {
        write('..2026_1', host, 'alice');
        symlinkSync(join('..data', name), join(folder, name));
        return { AUTH_DOCKER_CONFIG: folder };
      });
      expect(await shown()).toBe(ALICE);
      write('..2026_2', stage.registry.host, 'bob');
      rmSync(join(folder, '..2026_1'), { recursive: true });
      await logged('credentials were read again');
      expect(await shown()).toBe(BOB);
      const reads = stage.proxy.stderr.split('credentials were read again').length - 1;
      write('..2026_3', stage.registry.host, 'alice');
      await logged('credentials were read again', reads + 1);
      expect(await shown()).toBe(ALICE);
    },
  );

  test('and a link to a file of such a secret is followed', async () => {
    const secret = join(folder, 'secret');
    mkdirSync(secret);
    const write = (version: string, host: string, user: keyof typeof USERS): void => {
      mkdirSync(join(secret, version));
      writeFileSync(join(secret, version, 'auth.json'), dockerConfig(host, user));
      symlinkSync(version, join(secret, '..data_tmp'));
      renameSync(join(secret, '..data_tmp'), join(secret, '..data'));
    };
    await start(({ host }) => {
      write('..1', host, 'alice');
      symlinkSync(join('..data', 'auth.json'), join(secret, 'auth.json'));
      return { AUTH_DOCKER_CONFIG: join(secret, 'auth.json') };
    });
    expect(await shown()).toBe(ALICE);
    write('..2', stage.registry.host, 'bob');
    await logged('credentials were read again');
    expect(await shown()).toBe(BOB);
  });

  test('but a broken file changes nothing, and the log says why; the next one counts', async () => {
    const path = join(folder, 'config.json');
    await start(({ host }) => {
      writeFileSync(path, dockerConfig(host, 'alice'));
      return { AUTH_DOCKER_CONFIG: path };
    });
    expect(await shown()).toBe(ALICE);
    replace(path, `{"auths": {"x": {"auth": "${BOB.slice(6)}"`);
    await logged('those from before stay');
    expect(stage.proxy.stderr).toContain('it is not JSON');
    expect(await shown()).toBe(ALICE);
    rmSync(path);
    await logged('those from before stay', 2);
    expect(await shown()).toBe(ALICE);
    replace(path, dockerConfig(stage.registry.host, 'bob'));
    await logged('credentials were read again');
    expect(await shown()).toBe(BOB);
  });

  test('a broken file at the start is told, and the proxy does not start', async () => {
    await start(() => ({}));
    const path = join(folder, 'config.json');
    writeFileSync(path, '{');
    await expect(startStage({ env: { AUTH_DOCKER_CONFIG: path } })).rejects.toThrow(
      /config\.json: it is not JSON/,
    );
  });
});

describe('credential helpers', () => {
  /** A helper that notes each call; `script` gives its answer. */
  function helper(name: string, script: string): string {
    const calls = join(folder, `${name}.calls`);
    writeFileSync(calls, '');
    const text = `#!/bin/sh\nread -r host || true\necho "$1 $host" >> ${calls}\n${script}\n`;
    writeFileSync(join(folder, `docker-credential-${name}`), text, { mode: 0o755 });
    return calls;
  }
  const callsOf = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n');
  const login = `printf '{"Username":"alice","Secret":"${USERS.alice}"}'`;

  async function startWith(config: (host: string) => object): Promise<void> {
    await start(({ host }) => {
      writeFileSync(join(folder, 'config.json'), JSON.stringify(config(host)));
      return {
        AUTH_DOCKER_CONFIG: join(folder, 'config.json'),
        PATH: `${folder}:${process.env['PATH'] ?? ''}`,
      };
    });
  }

  test.each([
    ['credHelpers', (host: string) => ({ credHelpers: { [host]: 'test' } })],
    ['credsStore', (host: string) => ({ credsStore: 'test', auths: { [host]: {} } })],
  ])('of %s are asked once for many pulls', async (_, config) => {
    const calls = helper('test', login);
    await startWith(config);
    const all = await Promise.all([shown(), shown(), shown()]);
    expect(new Set(all)).toEqual(new Set([ALICE]));
    expect(callsOf(calls)).toEqual([`get ${stage.registry.host}`]);
  });

  test('that have nothing leave the registry to the client', async () => {
    helper('none', 'echo "credentials not found in native keychain"; exit 1');
    await startWith(() => ({ credsStore: 'none' }));
    const blob = put();
    expect((await stage.client.get(blobPath('a/b', blob))).status).toBe(401);
    expectWhole(await stage.client.get(blobPath('a/b', blob), { authorization: BOB }), blob);
  });

  test.each([
    ['that fail', `echo "${USERS.bob}"; echo "${USERS.bob}" >&2; exit 3`, 'ended with 3'],
    ['that write no JSON', `echo "${USERS.bob}"`, 'wrote no JSON'],
    ['that write no login', `echo '{"Secret":"${USERS.bob}"}'`, 'wrote no login'],
    ['that write without end', 'yes', 'wrote too much'],
  ])('%s are an outage, and what they wrote goes nowhere', async (_, script, reason) => {
    helper('bad', script);
    await startWith((host) => ({ credHelpers: { [host]: 'bad' } }));
    const pulled = await stage.client.get(blobPath('a/b', put()));
    expectError(pulled, 503, 'CREDENTIALS_UNAVAILABLE');
    expect(pulled.body.toString()).toContain(reason);
    expect(pulled.body.toString()).not.toContain(USERS.bob);
  });

  test('that fail take nothing with them that is cached, behind a token service of the proxy', async () => {
    helper('failing', 'exit 3');
    await startWith((host) => ({ credHelpers: { [host]: 'failing' } }));
    const { registry, client } = stage;
    const tokens = createTokenService(registry, { users: USERS });
    registry.protect(tokens.guard);
    const answer = await client.get(`${tokens.path}?service=scripted&scope=repository%3Aa%2Fb%3Apull`);
    expect(answer.status).toBe(200);
    expect(cacheStatus(answer)).toBe('STALE');
    expect(tokens.requests()).toEqual([]);
  });

  test('that are not there', async () => {
    await startWith((host) => ({ credHelpers: { [host]: 'missing' } }));
    const pulled = await stage.client.get(blobPath('a/b', put()));
    expect(pulled.body.toString()).toContain('docker-credential-missing is not on the PATH');
  });
});
