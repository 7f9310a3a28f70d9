import { once } from 'node:events';
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { runCli } from '../src/cli/run-cli.ts';
import { adminOf, type AdminClient } from './support/admin.ts';
import { mountMemory } from './support/disks.ts';
import { tryToServe } from './support/local-proxy.ts';
import { randomBlob, type Blob } from './upstream/content.ts';
import { blobPath, expectWhole } from './upstream/paths.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const MIB = 1024 * 1024;
const REPOSITORY = 'team/app';
const READY = { ready: true, phase: 'listening', ca: 'usable', store: 'usable' };

let stage: Stage | undefined;

afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

async function begin(adminListen = '127.0.0.1:0'): Promise<{ stage: Stage; admin: AdminClient }> {
  stage = await startStage({ env: { ADMIN_LISTEN: adminListen } });
  return { stage, admin: await adminOf(stage.proxy) };
}

function publish({ registry }: Stage, seed: string, size: number): Blob {
  const blob = randomBlob(seed, size);
  registry.put({ repository: REPOSITORY, blobs: [blob] });
  return blob;
}

async function readyz(admin: AdminClient): Promise<[number, unknown]> {
  const { status, body } = await admin.ask('/readyz');
  return [status, JSON.parse(body)];
}

interface Checked {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** `breakwater healthcheck` with this admin listener. */
async function healthcheck(adminListen: string): Promise<Checked> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli({
    argv: ['healthcheck'],
    env: { ADMIN_LISTEN: adminListen },
    version: '1.2.3',
    serve: () => Promise.reject(new Error('served')),
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
  });
  return { code, out: out.join(''), err: err.join('') };
}

/** A program that has a port already. */
async function otherProgram(): Promise<{ server: Server; address: string }> {
  const server = createHttpServer((_, response) => void response.end('{"status":"fine"}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A server on a port has an address that is an object.
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('the admin listener', () => {
  test('tells that the proxy lives and is ready', async () => {
    const { admin } = await begin();
    for (const path of ['/healthz', '/livez', '/ping', '/healthz?verbose'])
      expect(await admin.ask(path)).toMatchObject({ status: 200, body: 'ok\n' });
    expect(await readyz(admin)).toEqual([200, READY]);
    expect(await admin.ask('/readyz', {}, 'HEAD')).toMatchObject({ status: 200, body: '' });
  });

  test('serves nothing else, and changes nothing', async () => {
    const { admin } = await begin();
    for (const path of ['/', '/metrics/', '/v2/', '//metrics'])
      expect(await admin.ask(path)).toMatchObject({ status: 404 });
    for (const method of ['POST', 'PUT', 'DELETE'])
      expect(await admin.ask('/metrics', {}, method)).toMatchObject({ status: 405 });
  });

  test('is not on the port of the proxy', async () => {
    const {
      stage: { proxy },
    } = await begin();
    const answer = await fetch(`http://127.0.0.1:${proxy.port}/metrics`);
    expect(answer.status).toBe(404);
  });

  test('is not there with "off"', async () => {
    stage = await startStage({ env: { ADMIN_LISTEN: 'off' } });
    await expect.poll(() => stage?.proxy.stderr).toMatch(/^ +admin +none$/m);
  });

  test('is done without where its address is taken and that is allowed, which is said', async () => {
    const { server, address } = await otherProgram();
    stage = await startStage({ env: { ADMIN_LISTEN: `${address} if free` } });
    await expect.poll(() => stage?.proxy.stderr).toMatch(/^ +admin +none$/m);
    expect(stage.proxy.stderr).toContain('no admin listener: set ADMIN_LISTEN');
    expect(stage.proxy.stderr).toContain('EADDRINUSE');
    const blob = publish(stage, 'without', 1_000);
    expectWhole(await stage.client.get(blobPath(REPOSITORY, blob)), blob);
    server.close();
  });

  test('ends the start where its address is taken otherwise', async () => {
    const { server, address } = await otherProgram();
    await using folder = await temporaryFolder();
    const { code, stderr } = await tryToServe({
      LISTEN: '127.0.0.1:0',
      ADMIN_LISTEN: address,
      CACHE_DIR: join(folder.path, 'cache'),
      CA_DIR: join(folder.path, 'ca'),
    });
    server.close();
    expect(code).toBe(2);
    expect(stderr).toContain(`ADMIN_LISTEN=${address}: listen EADDRINUSE`);
    expect(stderr).toContain('set ADMIN_LISTEN to another port');
  });
});

describe('readiness', () => {
  test('ends with the beginning of a drain, and the listener with its end', async () => {
    const {
      stage: { proxy, registry, client },
      admin,
    } = await begin();
    const blob = randomBlob('drained', 2 * MIB);
    registry.put({ repository: REPOSITORY, blobs: [blob] });
    const hold = registry.hold({ path: blobPath(REPOSITORY, blob) }, MIB);
    const pull = client.open(blobPath(REPOSITORY, blob));
    await pull.reached(MIB / 2);
    const stopped = proxy.stop();
    await expect.poll(() => readyz(admin)).toEqual([503, { ...READY, ready: false, phase: 'draining' }]);
    expect(await admin.ask('/healthz')).toMatchObject({ status: 200 });
    expect((await admin.scrape()).get('breakwater_requests_active')).toBe(1);
    expect(await healthcheck(admin.address)).toMatchObject({ code: 1 });
    hold.release();
    expectWhole(await pull.done, blob);
    expect(await stopped).toBe(0);
    await expect(admin.ask('/healthz')).rejects.toThrow('ECONNREFUSED');
  });

  test('stays while the store is degraded, which is said until it works again', async () => {
    const { stage: begun, admin } = await begin();
    const blob = publish(begun, 'degraded', MIB);
    const path = blobPath(REPOSITORY, blob);
    const disk = await mountMemory(join(begun.proxy.cacheDir, 'partial'), 'size=1m,ro');
    try {
      expectWhole(await begun.client.get(path), blob);
      await expect.poll(() => readyz(admin)).toEqual([200, { ...READY, store: 'degraded' }]);
      const degraded = await admin.scrape();
      expect(degraded.get('breakwater_store_degraded')).toBe(1);
      expect(degraded.get('breakwater_store_faults_total')).toBeGreaterThan(0);
      expect(degraded.get('breakwater_fills_total{result="unstored"}')).toBe(1);
      expect(await healthcheck(admin.address)).toMatchObject({ code: 0 });
    } finally {
      await disk[Symbol.asyncDispose]();
    }
    expectWhole(await begun.client.get(path), blob);
    await expect.poll(() => readyz(admin)).toEqual([200, READY]);
    expect((await admin.scrape()).get('breakwater_store_degraded')).toBe(0);
  });
});

describe('breakwater healthcheck', () => {
  test('ends with 0 where the proxy is ready', async () => {
    const { admin } = await begin();
    expect(await healthcheck(admin.address)).toEqual({ code: 0, out: `${JSON.stringify(READY)}\n`, err: '' });
  });

  test('asks on loopback where the listener is on every address', async () => {
    const { admin } = await begin(':0');
    expect(admin.address).toMatch(/^0\.0\.0\.0:/);
    expect(await healthcheck(admin.address)).toMatchObject({ code: 0 });
  });

  test('ends with 1 where nobody listens, another program does, or nobody can be asked', async () => {
    const { server, address } = await otherProgram();
    expect(await healthcheck(address)).toMatchObject({ code: 1, out: '{"status":"fine"}' });
    server.close();
    await once(server, 'close');
    const { code, out, err } = await healthcheck(address);
    expect([code, out]).toEqual([1, expect.stringContaining('ECONNREFUSED')]);
    expect(err).toContain('breakwater: the proxy is not ready\n');
    expect(await healthcheck('off')).toMatchObject({ code: 1 });
    expect(await healthcheck('nowhere')).toMatchObject({ code: 1, out: '' });
  });
});
