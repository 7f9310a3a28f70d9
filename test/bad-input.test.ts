import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLab } from './lab/lab.ts';
import { startProxy } from './lab/proxy.ts';
import { startLocalProxy, tryToServe, type LocalProxy } from './support/local-proxy.ts';
import { ask, askRegistry, dial, openSecure, openTunnel, type Question } from './support/wire.ts';
import { randomBlob, toBuffer } from './upstream/content.ts';
import { blobPath, manifestPath } from './upstream/paths.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

const KB = 1024;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: ScriptedRegistry;
let proxy: LocalProxy;

beforeAll(async () => {
  folder = await temporaryFolder();
  registry = await startScriptedRegistry();
  proxy = await startLocalProxy(folder.path, { REGISTRIES: `http://${registry.host}` });
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await registry?.close();
  await folder?.[Symbol.asyncDispose]();
});

describe('settings that cannot be used end the start with exit code 2', () => {
  test('all at once, each with its name, value, reason and how to mend it', async () => {
    const { code, stdout, stderr } = await tryToServe({
      ...ownFolders('settings'),
      CACHE_MAX_SIZE: 'lots',
      MANIFEST_CACHE_PRIMARY_TIME: '10 minutes',
      MANIFEST_CACHE_PRIMARY_REGEX: '(unclosed',
      LISTEN: 'localhost:99999',
      REGISTRIES: 'ghcr.io https://quay.io/path',
      ENABLE_MANIFEST_CACHE: 'perhaps',
    });
    expect([code, stdout.length]).toEqual([2, 0]);
    expect(stderr).toMatch(/^breakwater: 6 settings cannot be used:\n/);
    for (const written of [
      'CACHE_MAX_SIZE=lots',
      'MANIFEST_CACHE_PRIMARY_TIME=10 minutes',
      'MANIFEST_CACHE_PRIMARY_REGEX=(unclosed',
      'LISTEN=localhost:99999',
      'REGISTRIES=ghcr.io https://quay.io/path',
      'ENABLE_MANIFEST_CACHE=perhaps',
    ]) {
      const [, reason = '', mend = ''] =
        stderr.split(`  ${written}\n`)[1]?.match(/^ {4}(.+)\n {4}(.+)\n/) ?? [];
      expect(reason, written).not.toBe('');
      expect(mend, written).not.toBe('');
    }
  });

  test('without telling a secret', async () => {
    const { code, stderr } = await tryToServe({
      ...ownFolders('secrets'),
      AUTH_REGISTRIES: 'ghcr.io:robot:tops3cret https://quay.io:robot:hunt3r2 nonsense-s3same',
    });
    expect(code).toBe(2);
    expect(stderr).toContain('AUTH_REGISTRIES=[redacted]');
    expect(stderr).toContain('entry 2');
    expect(stderr).not.toMatch(/tops3cret|hunt3r2|s3same/);
  });

  test.each(['(?=look)', String.raw`(a)\1`, '(?<!x)y'])('a regex that could hang: %s', async (regex) => {
    const { code, stderr } = await tryToServe({
      ...ownFolders('regex'),
      MANIFEST_CACHE_SECONDARY_REGEX: regex,
    });
    expect(code).toBe(2);
    expect(stderr).toContain(`MANIFEST_CACHE_SECONDARY_REGEX=${regex}\n`);
  });

  test('a port that is taken', async () => {
    const { code, stderr } = await tryToServe({
      ...ownFolders('port'),
      LISTEN: `${proxy.host}:${proxy.port}`,
    });
    expect(code).toBe(2);
    expect(stderr).toContain(`breakwater: LISTEN=${proxy.host}:${proxy.port}: `);
    expect(stderr).toContain('Another program listens there: stop it, or set LISTEN to another port.');
  });

  test('a cache that another process uses', async () => {
    const { code, stderr } = await tryToServe({
      ...ownFolders('second'),
      CACHE_DIR: proxy.cacheDir,
    });
    expect(code).toBe(2);
    expect(stderr).toContain('another process uses the cache');
    expect(stderr).toContain(proxy.cacheDir);
    expect(stderr).toContain('Give each process a CACHE_DIR of its own.');
    // and the first is none the worse for it
    expect((await askRegistry(proxy, registry.host, '/v2/')).status).toBe(200);
  });
});

describe('a path that breaks the grammar is refused with an OCI error, without asking upstream', () => {
  const hex = 'a'.repeat(64);
  test.each([
    ['/v2/UPPER/case/manifests/1', 'NAME_INVALID', 'NAME_INVALID'],
    ['/v2/a//b/manifests/1', 'NAME_INVALID', 'NAME_INVALID'],
    ['/v2/-a/manifests/1', 'NAME_INVALID', 'NAME_INVALID'],
    [`/v2/${'a/'.repeat(130)}b/manifests/1`, 'NAME_INVALID', 'NAME_INVALID'],
    ['/v2/a/manifests/.hidden', 'MANIFEST_INVALID', 'TAG_INVALID'],
    ['/v2/a/manifests/with%20space', 'MANIFEST_INVALID', 'TAG_INVALID'],
    [`/v2/a/manifests/${'t'.repeat(129)}`, 'MANIFEST_INVALID', 'TAG_INVALID'],
    ['/v2/a/manifests/sha256:123', 'DIGEST_INVALID', 'DIGEST_INVALID'],
    [`/v2/a/manifests/md5:${hex.slice(32)}`, 'DIGEST_INVALID', 'DIGEST_INVALID'],
    [`/v2/a/blobs/sha256:${hex.toUpperCase()}`, 'DIGEST_INVALID', 'DIGEST_INVALID'],
    [`/v2/a/blobs/sha512:${hex}`, 'DIGEST_INVALID', 'DIGEST_INVALID'],
    ['/v2/a/blobs/latest', 'DIGEST_INVALID', 'DIGEST_INVALID'],
    ['/v2/a/manifests/%', 'UNSUPPORTED', 'PATH_INVALID'],
    ['/v2/a/manifests/a%2Fb', 'UNSUPPORTED', 'PATH_INVALID'],
    ['/v2/../../etc/manifests/1', 'UNSUPPORTED', 'PATH_INVALID'],
    ['/v2/a%00/manifests/1', 'UNSUPPORTED', 'PATH_INVALID'],
  ])('%s', async (path, code, reason) => {
    const asked = registry.requests.count();
    for (const method of ['GET', 'HEAD']) {
      const { status, headers, body } = await asking(path, { method });
      expect([status, headers['content-type']]).toEqual([400, 'application/json; charset=utf-8']);
      if (method === 'GET') expect(errorOf(body)).toMatchObject({ code, detail: { reason } });
      else expect(body.length).toBe(0);
    }
    expect(registry.requests.count()).toBe(asked);
  });
});

describe('a range', () => {
  const blob = randomBlob('ranged', 1000);
  const path = blobPath('team/ranged', blob);

  beforeAll(() => registry.put({ repository: 'team/ranged', blobs: [blob] }));

  test.each(['bytes=1000-', 'bytes=5000-6000', 'bytes=-0'])(
    'of which no byte exists is 416, cold and warm: %s',
    async (range) => {
      for (let n = 0; n < 2; n++) {
        const { status, headers, body } = await asking(path, { headers: { range } });
        expect([status, headers['content-range']]).toEqual([416, 'bytes */1000']);
        expect(errorOf(body).detail).toMatchObject({ reason: 'RANGE_NOT_SATISFIABLE' });
      }
    },
  );

  test.each(['bytes=x-y', 'bytes=9-1', 'lines=1-2', 'bytes', 'bytes=-'])(
    'that is no range is as if there were none: %s',
    async (range) => {
      const { status, body } = await asking(path, { headers: { range } });
      expect([status, body.equals(toBuffer(blob))]).toEqual([200, true]);
    },
  );
});

describe('headers', () => {
  const big = { 'x-big': 'h'.repeat(100 * KB) };
  const tooBig = { 'x-big': 'h'.repeat(200 * KB) };

  test('of 100 KB are passed on to the registry', async () => {
    const { status } = await asking('/v2/team/any/tags/list', { headers: big });
    // 404: it was asked and does not know the repository
    expect([status, registry.requests.find({ path: '/v2/team/any/tags/list' }).length]).toEqual([404, 1]);
  });

  test('of 100 KB are passed back to the client', async () => {
    registry.on({ path: '/v2/team/any/tags/list' }, { padHeaders: 100 * KB });
    const { status, headers } = await asking('/v2/team/any/tags/list');
    expect(status).toBe(404);
    expect(Object.keys(headers).filter((name) => name.startsWith('x-pad-'))).toHaveLength(100);
  });

  test('of 200 KB are refused with 431, which the client can read', async () => {
    for (const socket of [await dial(proxy), await openSecure(proxy, registry.host)]) {
      const { status, body } = await ask(socket, '/v2/', { headers: tooBig });
      expect([status, errorOf(body)]).toMatchObject([
        431,
        { code: 'UNSUPPORTED', detail: { reason: 'HEADERS_TOO_LARGE' } },
      ]);
    }
  });

  test('of 200 KB from the registry are its failure', async () => {
    registry.on({ path: '/v2/team/huge/tags/list' }, { padHeaders: 200 * KB });
    const { status, body } = await asking('/v2/team/huge/tags/list');
    expect([status, errorOf(body).detail]).toMatchObject([502, { reason: 'UPSTREAM_PROTOCOL' }]);
  });

  test('of a second request that is junk do not spoil the answer to the first', async () => {
    const blob = randomBlob('slow', 300 * KB);
    registry.put({ repository: 'team/slow', blobs: [blob] });
    const path = blobPath('team/slow', blob);
    const held = registry.hold({ path }, 200 * KB);
    const socket = await openSecure(proxy, registry.host);
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, 'data');
    socket.write('\0junk\r\n\r\n');
    await once(socket, 'close');
    held.release();
    // cut, or whole and right, but with nothing of another answer in it
    const whole = Buffer.concat(received);
    const body = whole.subarray(whole.indexOf('\r\n\r\n') + 4);
    expect(toBuffer(blob).subarray(0, body.length).equals(body)).toBe(true);
  });
});

describe('a push', () => {
  test.each(['PUT', 'POST', 'DELETE', 'PATCH'])('by %s is 405 where pushing is off', async (method) => {
    const asked = registry.requests.count();
    for (const path of [manifestPath('team/app', '1'), '/v2/team/app/blobs/uploads/']) {
      const { status, headers, body } = await asking(path, { method });
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
      expect(errorOf(body)).toMatchObject({ code: 'UNSUPPORTED', detail: { reason: 'PUSH_DISABLED' } });
      expect(errorOf(body).detail['mend']).toContain('ALLOW_PUSH=true');
    }
    expect(registry.requests.count()).toBe(asked);
  });

  test.each(['/v1/', '/v1/search?q=x', '/v1/_ping'])('%s is 405 with a hint', async (path) => {
    for (const method of ['GET', 'POST']) {
      const { status, body } = await asking(path, { method });
      expect([status, errorOf(body)]).toMatchObject([405, { detail: { reason: 'V1_UNSUPPORTED' } }]);
      expect(errorOf(body).message).toContain('v2');
    }
  });
});

describe('a client that does not trust the CA', () => {
  const DISTRUST = "client does not trust the proxy's CA";

  test('is named in one line for each address', async () => {
    const stranger = { ca: [] };
    for (const address of ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2', '127.0.0.1']) {
      const refused = openSecure(proxy, 'ghcr.io:443', { ...stranger, localAddress: address });
      await expect(refused).rejects.toThrow(/issuer|self-signed|verify/);
    }
    // the last one's alert has been read when a later connection has been served
    await askRegistry(proxy, registry.host, '/v2/');
    const lines = proxy.log.filter((line) => line.includes(DISTRUST)).map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { level: 'warn', client: '127.0.0.1', host: 'ghcr.io' },
      { level: 'warn', client: '127.0.0.2', host: 'ghcr.io' },
    ]);
  });

  test('is told so by real clients too', async () => {
    const lab = await startLab();
    try {
      const running = await startProxy(lab);
      const { skopeo, podman, curl } = lab.clients({ proxy: running.url, ca: lab.ca });
      const { ref } = lab.images.ghcrApp;
      await expect(skopeo.pull(ref)).rejects.toThrow(/x509|certificate/);
      await expect(podman.pull(ref)).rejects.toThrow(/x509|certificate/);
      await expect(curl.request('https://ghcr.io/v2/')).rejects.toThrow(/certificate/);
      await running.stop();
      expect(running.log.split(DISTRUST)).toHaveLength(2);
      expect(running.log).toContain('install /ca.crt');
    } finally {
      await lab.down();
    }
  });

  test('and one that only looks is not', async () => {
    const { socket } = await openTunnel(proxy, 'quay.io:443', '127.0.0.3');
    socket.destroy();
    await askRegistry(proxy, registry.host, '/v2/');
    expect(proxy.log.filter((line) => line.includes(DISTRUST) && line.includes('127.0.0.3'))).toEqual([]);
  });
});

function asking(path: string, question?: Question) {
  return askRegistry(proxy, registry.host, path, question);
}

function ownFolders(name: string): Record<string, string> {
  return {
    LISTEN: '127.0.0.1:0',
    CACHE_DIR: `${folder.path}/${name}/cache`,
    CA_DIR: `${folder.path}/${name}/ca`,
  };
}

interface OciError {
  readonly code: string;
  readonly message: string;
  readonly detail: Readonly<Record<string, string>>;
}

function errorOf(body: Buffer): OciError {
  return JSON.parse(body.toString()).errors[0];
}
