import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { makeCertificate, ROOT_EXTENSIONS, temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { run } from './lab/job.ts';
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
/** A registry that takes headers of any size, and says how large one was. */
let patient: { readonly host: string; readonly server: Server };
let proxy: LocalProxy;

beforeAll(async () => {
  folder = await temporaryFolder();
  registry = await startScriptedRegistry();
  patient = await startPatientRegistry();
  proxy = await startLocalProxy(folder.path, {
    REGISTRIES: `http://${registry.host} http://${patient.host}`,
  });
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  patient?.server.close();
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
    const explained = [...stderr.matchAll(/^ {2}(\S.*)\n {4}\S.*\n {4}\S.*$/gm)].map(
      ([, written]) => written,
    );
    expect(new Set(explained)).toEqual(
      new Set([
        'CACHE_MAX_SIZE=lots',
        'ENABLE_MANIFEST_CACHE=perhaps',
        'LISTEN=localhost:99999',
        'MANIFEST_CACHE_PRIMARY_REGEX=(unclosed',
        'MANIFEST_CACHE_PRIMARY_TIME=10 minutes',
        'REGISTRIES=ghcr.io https://quay.io/path',
      ]),
    );
  });

  test('without telling a secret', async () => {
    const { code, stderr } = await tryToServe({
      ...ownFolders('secrets'),
      AUTH_REGISTRIES: 'ghcr.io:robot:marked-secret-1 https://quay.io:robot:marked-secret-2 marked-secret-3',
    });
    expect(code).toBe(2);
    expect(stderr).toContain('AUTH_REGISTRIES=[redacted]');
    expect(stderr).toContain('entry 2');
    expect(stderr).not.toMatch(/marked-secret/);
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
    ['/v2/a//b/manifests/1', 'UNSUPPORTED', 'PATH_INVALID'],
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
    const [get, head] = [await asking(path), await asking(path, { method: 'HEAD' })];
    for (const { status, headers } of [get, head])
      expect([status, headers['content-type']]).toEqual([400, 'application/json; charset=utf-8']);
    expect(errorOf(get.body)).toMatchObject({ code, detail: { reason } });
    expect(head.body.length).toBe(0);
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

  test.each(['bytes=x-y', 'lines=1-2', 'bytes', 'bytes=-'])(
    'that is no range is as if there were none: %s',
    async (range) => {
      const { status, body } = await asking(path, { headers: { range } });
      expect([status, body.equals(toBuffer(blob))]).toEqual([200, true]);
    },
  );
});

describe('headers', () => {
  const big = { 'x-big': 'h'.repeat(100 * KB) };

  test('of 100 KB are passed on to the registry', async () => {
    const { status, body } = await askRegistry(proxy, patient.host, '/v2/_catalog', { headers: big });
    expect([status, body.toString()]).toEqual([200, String(100 * KB)]);
  });

  test('of 100 KB are passed back to the client', async () => {
    registry.on({ path: '/v2/_catalog' }, { padHeaders: 100 * KB });
    const { status, headers } = await asking('/v2/_catalog');
    expect(status).toBe(200);
    expect(Object.keys(headers).filter((name) => name.startsWith('x-pad-'))).toHaveLength(100);
  });

  test.each([200, 5_000])('of %i KB are refused with 431, which the client can read', async (size) => {
    const headers = { 'x-big': 'h'.repeat(size * KB) };
    for (const socket of [await dial(proxy), await openSecure(proxy, registry.host)]) {
      const { status, body } = await ask(socket, '/v2/', { headers });
      expect([status, errorOf(body).detail['reason']]).toEqual([431, 'HEADERS_TOO_LARGE']);
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

test('what is refused, or says nothing and leaves, leaves no connection open', async () => {
  const open = (): number => readdirSync(`/proc/${proxy.pid}/fd`).length;
  const before = open();
  for (let n = 0; n < 20; n++) {
    const refused = await openTunnel(proxy, '127.0.0.1:1');
    expect(refused.status).toBe(403);
    refused.socket.end();
    const junk = await dial(proxy);
    junk.end('\0junk\r\n\r\n');
    junk.resume();
    const silent = await openTunnel(proxy, registry.host);
    silent.socket.destroy();
    // this client's word comes after the handshake, and is none
    await expect(openSecure(proxy, registry.host, { ca: [] })).rejects.toThrow(/self-signed|issuer/);
  }
  await vi.waitFor(() => expect(open()).toBeLessThan(before + 10), 4_000);
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
    const strangers = ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2', '127.0.0.1'];
    const other = await makeCertificate(folder.path, 'other', {
      commonName: 'Another CA',
      extensions: ROOT_EXTENSIONS,
    });
    for (const address of strangers) await distrust(address, other.certificate);
    // the last one's alert has been read when a later connection has been served
    await askRegistry(proxy, registry.host, '/v2/');
    const lines = proxy.log.filter((line) => line.includes(DISTRUST)).map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { level: 'warn', client: '127.0.0.1', host: 'auth.docker.io' },
      { level: 'warn', client: '127.0.0.2', host: 'auth.docker.io' },
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
    const { socket } = await openTunnel(proxy, 'auth.docker.io:443', '127.0.0.3');
    socket.destroy();
    await askRegistry(proxy, registry.host, '/v2/');
    expect(proxy.log.filter((line) => line.includes(DISTRUST) && line.includes('127.0.0.3'))).toEqual([]);
  });
});

/** A client that says why it leaves, as all do that are written in Go or use OpenSSL as a whole. */
async function distrust(address: string, ca: string): Promise<void> {
  const through = ['--proxy', `http://${proxy.host}:${proxy.port}`, '--interface', address];
  const command = ['curl', '--silent', '--cacert', ca, ...through, 'https://auth.docker.io/'];
  // 60: the certificate of the peer cannot be authenticated
  expect((await run(command, { env: {}, mayFail: true })).code).toBe(60);
}

async function startPatientRegistry(): Promise<typeof patient> {
  const server = createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
    response.end(String(request.headers['x-big']?.length));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A server on a port has an address that is an object.
  const { port } = server.address() as AddressInfo;
  return { host: `localhost:${port}`, server };
}

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
