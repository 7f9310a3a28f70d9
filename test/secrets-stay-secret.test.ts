import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, type Output } from './lab/job.ts';
import { startLocalProxy, tryToServe, type Settings } from './support/local-proxy.ts';
import { expectNoSecrets, markedSecret, secretIn } from './support/marked-secrets.ts';
import { sendRaw } from './support/wire.ts';
import { randomBlob, textContent, type Blob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, expectError, expectWhole, manifestPath } from './upstream/paths.ts';
import { createPullClient, type PullClient } from './upstream/pull-client.ts';
import type { RecordedRequest } from './upstream/recorded-request.ts';
import { redirectTo, type Reply } from './upstream/reply.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startScriptedServer, type ScriptedServer } from './upstream/scripted-server.ts';
import { createSignedUrls } from './upstream/signed-urls.ts';
import { startProxy, type ProxyProcess } from './upstream/start-proxy.ts';
import { createTokenService } from './upstream/token-service.ts';

/**
 * What every test of the suite insists on (its proxies' disposal looks through all that they wrote), tried here where
 * secrets are nearest to being told: settings that are wrong, answers that repeat what they were sent, and crashes.
 */
const MAIN = join(import.meta.dirname, '../src/main.ts');
const SECRET = markedSecret('1');

let folder: string;
let files = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-secrets-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

function file(content: string): string {
  files += 1;
  const path = join(folder, `file-${files}`);
  writeFileSync(path, content);
  return path;
}

/** Runs a command that only reads the settings; fails where it tells a secret. */
async function command(words: readonly string[], settings: Settings): Promise<Output> {
  const env = { PATH: process.env['PATH'], HOME: '/nonexistent', ...settings };
  const output = await run([process.execPath, MAIN, ...words], { env, mayFail: true });
  expectNoSecrets(['stdout', output.stdout], ['stderr', output.stderr]);
  return output;
}

test.each<[string, string]>([
  ['plain', SECRET],
  ['in a query', encodeURIComponent(`?a=${SECRET}`)],
  ['in JSON', JSON.stringify({ SECRET })],
  ['in hex', Buffer.from(SECRET).toString('hex')],
  ...['', 'a', 'al', 'ali'].map(
    (name) => [`in Basic, after ${name}`, basic(name, SECRET)] as [string, string],
  ),
  ['in a JWT', Buffer.from(JSON.stringify({ jti: SECRET })).toString('base64url')],
])('a marked secret is recognised: %s', (_form, text) => {
  expect(secretIn(`before ${text} after`)).toContain(text.slice(6, 18));
  expect(secretIn(text.replace(/[bMW]/gi, 'x'))).toBeUndefined();
});

describe('the settings', () => {
  const set = (): Settings => ({
    AUTH_REGISTRIES: `ghcr.io:robot:${SECRET} quay.io/team/*:robot:${SECRET}`,
    AUTH_DOCKER_CONFIG: file(
      JSON.stringify({ auths: { 'a.io': { auth: basic('u', SECRET).slice(6), identitytoken: SECRET } } }),
    ),
    CA_KEY_PASSPHRASE: SECRET,
    CONFIG_FILE: file(`registries: { credentials: [{ host: b.io, username: u, password: "${SECRET}" }] }\n`),
  });

  test.each([[[]], [['--format', 'json']]])('are shown without them: config show %j', async (flags) => {
    const { code, stdout } = await command(['config', 'show', ...flags], set());
    expect(code).toBe(0);
    expect(stdout.toString()).toContain('[redacted]');
  });

  test('are checked without them', async () => {
    expect((await command(['config', 'check'], set())).code).toBe(0);
  });

  const yaml = (text: string) => (): Settings => ({ CONFIG_FILE: file(text) });
  const docker = (text: string) => (): Settings => ({ AUTH_DOCKER_CONFIG: file(text) });
  test.each<[string, () => Settings]>([
    ['AUTH_REGISTRIES: a URL for a host', () => ({ AUTH_REGISTRIES: `https://a.io:u:${SECRET}` })],
    ['AUTH_REGISTRIES: a part is missing', () => ({ AUTH_REGISTRIES: `a.io:${SECRET}` })],
    ['AUTH_REGISTRIES: the secret for a host', () => ({ AUTH_REGISTRIES: `${SECRET}!:u:p` })],
    ['AUTH_REGISTRIES: a pattern that is blank', () => ({ AUTH_REGISTRIES: `a.io/:u:${SECRET}` })],
    ['AUTH_REGISTRIES: twice', () => ({ AUTH_REGISTRIES: `a.io:u:${SECRET} a.io:v:${SECRET}` })],
    ['AUTH_REGISTRIES_FILE', () => ({ AUTH_REGISTRIES_FILE: file(`a.io:${SECRET}\n`) })],
    ['REGISTRIES: a URL with a login', () => ({ REGISTRIES: `https://u:${SECRET}@a.io/path` })],
    ['CACHE_MAX_SIZE: a URL with a login', () => ({ CACHE_MAX_SIZE: `https://u:${SECRET}@a.io/path` })],
    [
      'a name that is nearly one',
      () => ({ AUTH_REGISTRIE: SECRET, AUTH_REGISTRIES_FIL: SECRET, LISTEN: 'x' }),
    ],
    ['YAML: no password', yaml(`registries: { credentials: [{ host: a.io, username: "${SECRET}" }] }`)],
    [
      'YAML: a list for a password',
      yaml(`registries: { credentials: [{ host: a.io, username: u, password: [${SECRET}] }] }`),
    ],
    [
      'YAML: a key that is none',
      yaml(`registries: { credentials: [{ host: a.io, username: u, pasword: ${SECRET} }] }`),
    ],
    ['YAML: text of a list', yaml(`registries: { credentials: "a.io:${SECRET}" }`)],
    ['YAML: no YAML', yaml(`registries:\n  credentials:\n  - host: a.io\n\tpassword: ${SECRET}\n`)],
    ['YAML: quotes that do not end', yaml(`ca: { key_passphrase: "${SECRET}\n`)],
    ['YAML: an escape that is none', yaml(`ca: { key_passphrase: "\\q${SECRET}" }`)],
    ['YAML: a tag', yaml(`ca: { key_passphrase: !${SECRET} }`)],
    ['YAML: an alias', yaml(`ca: { key_passphrase: *${SECRET} }`)],
    ['Docker: no JSON', docker(`{ "auths": { "a.io": { "auth": "${SECRET} } } }`)],
    ['Docker: the secret first', docker(SECRET)],
    ['Docker: no Base64', docker(JSON.stringify({ auths: { 'a.io': { auth: SECRET } } }))],
    ['Docker: a number', docker(JSON.stringify({ auths: { 'a.io': { auth: 1, password: SECRET } } }))],
    ['a passphrase twice', () => ({ CA_KEY_PASSPHRASE: SECRET, CA_KEY_PASSPHRASE_FILE: file(SECRET) })],
  ])('that are wrong are told of without them: %s', async (_what, settings) => {
    const { code, stderr } = await command(['config', 'check'], settings());
    expect([code, stderr.length > 20]).toEqual([2, true]);
  });

  test.each<[string, () => Settings]>([
    ['a password in the users file', () => ({ PROXY_USERS_FILE: file(`alice:${SECRET}\n`) })],
    [
      'a key that is none',
      () => ({ CA_KEY_FILE: file(SECRET), CA_CRT_FILE: file(SECRET), CA_KEY_PASSPHRASE: SECRET }),
    ],
  ])('that keep it from starting are told of without them: %s', async (_what, settings) => {
    const home = { LISTEN: '127.0.0.1:0', CACHE_DIR: join(folder, 'cache'), CA_DIR: join(folder, 'ca') };
    const { code, stderr } = await tryToServe({ ...home, ...settings() });
    expect([code, stderr.length > 20]).toEqual([2, true]);
  });
});

/** Repeats all that it was sent, as debugging pages do. */
function repeats(status: number, headers: Reply['headers'] = {}): (request: RecordedRequest) => Reply {
  return ({ headers: sent, query, form }) => ({
    status,
    headers: { 'content-type': 'application/json', 'x-debug': String(sent.authorization), ...headers },
    body: textContent(JSON.stringify({ sent, query, form: form.toString() })),
  });
}

describe('between registries, token services, CDNs and clients', () => {
  const PASSWORDS = {
    basic: markedSecret('of-basic'),
    token: markedSecret('of-token'),
    elsewhere: markedSecret('of-elsewhere'),
    own: markedSecret('of-a-client'),
  } as const;
  const OWN = basic('carol', PASSWORDS.own);
  const closing = new AsyncDisposableStack();
  let asksBasic: ScriptedRegistry;
  let asksToken: ScriptedRegistry;
  let helped: ScriptedRegistry;
  let service: ScriptedServer;
  let cdn: ScriptedServer;
  let proxy: ProxyProcess;
  const client = (registry: ScriptedServer): PullClient =>
    closing.use(createPullClient(proxy, registry.host));

  beforeAll(async () => {
    asksBasic = closing.use(await startScriptedRegistry());
    asksToken = closing.use(await startScriptedRegistry());
    helped = closing.use(await startScriptedRegistry());
    service = closing.use(await startScriptedServer());
    cdn = closing.use(await startScriptedServer());
    const helper = join(folder, 'docker-credential-tells');
    writeFileSync(helper, `#!/bin/sh\necho "${SECRET}"\necho "${SECRET}" >&2\nexit 3\n`);
    chmodSync(helper, 0o755);
    proxy = closing.use(
      await startProxy({
        registries: [asksBasic, asksToken, helped],
        env: {
          PATH: [folder, process.env['PATH']].join(delimiter),
          LOG_LEVEL: 'debug',
          AUTH_REGISTRIES: [
            `${asksBasic.host}:robot:${PASSWORDS.basic}`,
            `${asksToken.host}:robot:${PASSWORDS.token}`,
            `elsewhere.example:robot:${PASSWORDS.elsewhere}`,
          ].join(' '),
          AUTH_DOCKER_CONFIG: file(JSON.stringify({ credHelpers: { [helped.host]: 'tells' } })),
        },
      }),
    );
    asksBasic.protect(basicGuard({ users: { robot: PASSWORDS.basic, carol: PASSWORDS.own } }));
  });

  afterAll(() => closing.disposeAsync());

  function put(registry: ScriptedRegistry, seed: string): Blob {
    const blob = randomBlob(seed, 20_000);
    registry.put({ repository: 'team/app', blobs: [blob] });
    return blob;
  }

  /** Which of the secrets a server was sent in its headers and forms. */
  function toldTo(server: ScriptedServer): readonly string[] {
    const heard = server.requests.all
      .map(({ headers, form }) => `${JSON.stringify(headers)} ${decodeURIComponent(form.toString())}`)
      .map((text) => text.replaceAll(/Basic ([\w+/=]+)/g, (_, encoded) => atob(String(encoded))))
      .join('\n');
    return [...new Set(heard.match(/marked-secret-[a-z-]+(?:\d+-\w+)?/g))].toSorted();
  }

  test('each is told what is for it, and nothing else', async () => {
    const tokens = createTokenService(service, { users: { robot: PASSWORDS.token } });
    asksToken.protect(tokens.guard);
    const signed = createSignedUrls(cdn);
    for (const registry of [asksBasic, asksToken]) {
      const blob = put(registry, `told ${registry.host}`);
      const path = blobPath('team/app', blob);
      registry.on({ path }, ({ headers }) =>
        headers.authorization === undefined ? {} : signed.redirect(blob)(),
      );
      expectWhole(await client(registry).get(path), blob);
      const own = put(registry, `own ${registry.host}`);
      await client(registry).get(blobPath('team/app', own), { authorization: OWN });
    }
    expect(toldTo(asksBasic)).toEqual([PASSWORDS.own, PASSWORDS.basic].toSorted());
    expect(toldTo(asksToken)).toEqual([PASSWORDS.own, 'marked-secret-token-1-robot'].toSorted());
    expect(toldTo(service)).toEqual([PASSWORDS.token]);
    expect(toldTo(cdn)).toEqual([]);
    for (const server of [asksBasic, asksToken, service, cdn]) server.reset();
  });

  test.each([401, 403, 404, 429, 500, 503])(
    'a token service that repeats them with %i is not repeated',
    async (status) => {
      const tokens = createTokenService(service, { users: { robot: PASSWORDS.token } });
      asksToken.protect(tokens.guard);
      service.on({ path: tokens.path }, repeats(status));
      const pulled = await client(asksToken).get(blobPath('team/app', put(asksToken, `repeated ${status}`)));
      expect(pulled.status).toBeGreaterThanOrEqual(400);
      await client(asksToken).get('/v2/');
    },
  );

  test.each([
    ['no JSON', `oops ${SECRET}`],
    ['no token', JSON.stringify({ refresh_token: SECRET })],
    ['a token that is no header', JSON.stringify({ token: `${SECRET}\r\nx: y` })],
  ])('a token service that gives %s is not repeated', async (what, body) => {
    const tokens = createTokenService(service, { users: { robot: PASSWORDS.token } });
    asksToken.protect(tokens.guard);
    service.on({ path: tokens.path }, { status: 200, body: textContent(body) });
    const pulled = await client(asksToken).get(blobPath('team/app', put(asksToken, what)));
    expect(pulled.status).toBe(401);
  });

  test.each<[string, () => Reply, number]>([
    ['that has ended', () => redirectTo(`${cdn.origin()}/signed/x?signature=${SECRET}`), 404],
    ['that leads nowhere', () => redirectTo(`http://127.0.0.1:1/x?signature=${SECRET}`), 502],
    ['that has a login', () => redirectTo(`http://u:${SECRET}@127.0.0.1:1/x`), 502],
    ['that is no address', () => redirectTo(`ftp://u:${SECRET}@x/?${SECRET}`), 502],
    ['without an end', () => redirectTo(`/v2/team/app/blobs/loop?${SECRET}`), 502],
    [
      'to an address that must not be named',
      () => redirectTo(`http://169.254.169.254/x?signature=${SECRET}`),
      502,
    ],
  ])('a signed address %s is not told', async (what, reply, status) => {
    const blob = put(asksBasic, what);
    asksBasic.on({ path: blobPath('team/app', blob) }, ({ headers }) =>
      headers.authorization === undefined ? {} : reply(),
    );
    asksBasic.on({ path: '/v2/team/app/blobs/loop' }, reply);
    expect((await client(asksBasic).get(blobPath('team/app', blob))).status).toBe(status);
    asksBasic.reset();
  });

  test('a helper that fails with one is not repeated', async () => {
    helped.protect(basicGuard({ users: { robot: SECRET } }));
    const blob = put(helped, 'helped');
    expectError(await client(helped).get(blobPath('team/app', blob)), 503, 'CREDENTIALS_UNAVAILABLE');
  });

  test('what clients send in wrong places is not told', async () => {
    const address = { host: '127.0.0.1', port: proxy.port } as const;
    const login = `alice:${SECRET}`;
    for (const target of [
      'CONNECT nowhere.invalid:443',
      `CONNECT ${login}@nowhere.invalid:443`,
      `GET http://${login}@nowhere.invalid/x?${SECRET}`,
      `GET ftp://${login}@nowhere.invalid/`,
      `GET http://nowhere.invalid/?${SECRET}`,
      `GET /?token=${SECRET}`,
      `GET /${SECRET.repeat(3)} HTTP/1.1\r\nBroken ${SECRET}`,
    ]) {
      const header = `Proxy-Authorization: ${basic('alice', SECRET)}`;
      const answer = await sendRaw(
        address,
        `${target} HTTP/1.1\r\nHost: x\r\n${header}\r\nConnection: close\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 [2-5]/);
      expectNoSecrets([target, answer]);
    }
    const one = client(asksBasic);
    for (const path of [
      `/v2/UPPER/manifests/1?${SECRET}`,
      `/v2/a/blobs/sha256:0?${SECRET}`,
      `/v2/%zz?${SECRET}`,
    ])
      expect((await one.get(path, { authorization: OWN })).status).toBeGreaterThanOrEqual(400);
    await one.get(`/v2/none/tags/list?n=1&token=${SECRET}`, { authorization: OWN });
  });

  test('neither they nor their plain hashes are on the disk', async () => {
    const image = craftImage({ seed: 'on the disk' });
    asksBasic.putImage('team/app', image, '1');
    const options = { authorization: OWN, headers: { accept: ANY_MANIFEST } };
    expectWhole(await client(asksBasic).get(manifestPath('team/app', '1'), options), image.manifest);
    await proxy.stored(image.manifest);
    await proxy.stop();
    const index = readFileSync(join(proxy.cacheDir, 'index.sqlite'));
    expect(index.includes('team/app')).toBe(true);
    for (const secret of [OWN, PASSWORDS.own, basic('robot', PASSWORDS.basic), PASSWORDS.basic]) {
      const hash = createHash('sha256').update(secret).digest();
      for (const form of [
        hash,
        ...(['hex', 'base64', 'base64url'] as const).map((name) => hash.toString(name)),
      ])
        expect(index.includes(form)).toBe(false);
    }
  });
});

describe('a crash', () => {
  test.each([
    ['an exception', 'throw error'],
    ['a rejection', 'void Promise.reject(error)'],
    ['something that is no error', 'throw { authorization: error.config.headers.authorization }'],
  ])('tells where it was, and no secret: %s', async (_what, statement) => {
    const preloaded = `${file('')}.mjs`;
    writeFileSync(
      preloaded,
      `process.on('SIGUSR2', () => {
        const cause = new SyntaxError('Unexpected token in "${SECRET}"');
        const error = new TypeError('request failed: Bearer ${SECRET}', { cause });
        error.config = { headers: { authorization: 'Bearer ${SECRET}' } };
        ${statement};
      });`,
    );
    const home = mkdtempSync(join(folder, 'home-'));
    await using proxy = await startLocalProxy(home, { NODE_OPTIONS: `--import ${preloaded}` });
    await new Promise<void>((resolve, reject) => {
      const headers = { host: 'nowhere.invalid' };
      get(
        { host: proxy.host, port: proxy.port, path: 'http://nowhere.invalid/before', headers },
        (response) => {
          response.resume().on('end', resolve);
        },
      ).on('error', reject);
    });
    proxy.signal('SIGUSR2');
    expect(await proxy.exited).toEqual({ code: 1, signal: null });
    const last = JSON.parse(proxy.log.at(-1) ?? '') as Record<string, string>;
    expect(last).toMatchObject({ level: 'fatal', msg: 'an unexpected failure ends the proxy' });
    expect(last['trace']).toMatch(/file-\d+\.mjs:\d+:\d+|a thrown object/);
    // the line of what was answered before is not lost
    expect(proxy.accessLog.join('\n')).toContain('/before');
  });
});
