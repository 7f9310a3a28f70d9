import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy, type Settings } from './support/local-proxy.ts';
import { ask, askRegistry, dial, openSecure, openTunnel } from './support/wire.ts';
import { randomBlob, toBuffer, type Blob } from './upstream/content.ts';
import { blobPath, cacheStatus } from './upstream/paths.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

const KB = 1024;
const HALF = 500 * KB;
/** What a client says whose answer was not whole. */
const CUT = /aborted|hang up|ECONNRESET/;

let registry: ScriptedRegistry;

beforeAll(async () => {
  registry = await startScriptedRegistry();
});

afterEach(() => registry.reset());

afterAll(async () => {
  await registry?.close();
});

describe('SIGTERM', () => {
  test('lets a pull end, takes no new connection, and ends the process well', async () => {
    await using stage = await startStage();
    const { proxy } = stage;
    const { pull, release, blob } = await halfPulled(proxy, 'drained');

    proxy.signal('SIGTERM');
    await untilClosed(proxy);
    expect(proxy.running).toBe(true);
    release();
    const { status, body } = await pull;
    expect([status, body.equals(toBuffer(blob))]).toEqual([200, true]);
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(proxy.accessLog.map((line) => JSON.parse(line))).toMatchObject([
      { status: '200', complete: 'true', bytes_sent: String(blob.size) },
    ]);
    expect(await stage.partials()).toEqual([]);
  });

  test('lets what a tunnel carries end', async () => {
    await using stage = await startStage();
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    // A server on a port has an address that is an object.
    const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [{ socket }, [accepted]] = await Promise.all([
      openTunnel(stage.proxy, target),
      once(server, 'connection'),
    ]);
    stage.proxy.signal('SIGTERM');
    await untilClosed(stage.proxy);
    accepted.end('the rest of a layer');
    socket.end();
    const [rest] = await once(socket, 'data');
    expect(String(rest)).toBe('the rest of a layer');
    expect(await stage.proxy.exited).toEqual({ code: 0, signal: null });
    server.close();
  });

  test('does not wait for connections that are idle', async () => {
    await using stage = await startStage({ SHUTDOWN_TIMEOUT: '60s' });
    const { proxy } = stage;
    // one that never asked, one in the middle of its handshake, one that may ask again
    const silent = await dial(proxy);
    const early = await openTunnel(proxy, registry.host);
    const idle = await openSecure(proxy, registry.host);
    idle.write('GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(idle, 'data');
    const ended = [silent, early.socket, idle].map((socket) => once(socket.resume(), 'end'));

    const begun = performance.now();
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - begun).toBeLessThan(10_000);
    await Promise.all(ended);
  });

  test('cuts what takes longer than SHUTDOWN_TIMEOUT', async () => {
    await using stage = await startStage({ SHUTDOWN_TIMEOUT: '1s' });
    const { proxy } = stage;
    const { pull } = await halfPulled(proxy, 'cut');
    const broken = failure(pull);
    const begun = performance.now();
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(await broken).toMatch(CUT);
    expect(performance.now() - begun).toBeGreaterThan(900);
    expect(performance.now() - begun).toBeLessThan(15_000);
    expect(proxy.log.join('\n')).toContain('connections were cut');
  });

  test('a second time ends the process at once', async () => {
    await using stage = await startStage({ SHUTDOWN_TIMEOUT: '60s' });
    const { proxy } = stage;
    const { pull } = await halfPulled(proxy, 'twice');
    const broken = failure(pull);
    proxy.signal('SIGTERM');
    await proxy.untilLogged((line) => line.includes('draining'));
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toEqual({ code: 143, signal: null });
    expect(await broken).toMatch(CUT);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends a proxy at rest', async (signal) => {
    await using stage = await startStage();
    stage.proxy.signal(signal);
    expect(await stage.proxy.exited).toEqual({ code: 0, signal: null });
  });
});

describe('SIGKILL in the middle of a pull', () => {
  test('costs nothing but that pull', async () => {
    await using stage = await startStage();
    const { pull, blob, path } = await halfPulled(stage.proxy, 'killed');
    const broken = failure(pull);
    stage.proxy.signal('SIGKILL');
    await stage.proxy.exited;
    expect(await broken).toMatch(CUT);
    registry.reset();

    await stage.restart();
    for (const expected of ['MISS', 'HIT']) {
      const answer = await askRegistry(stage.proxy, registry.host, path);
      expect([answer.status, cacheStatus(answer)]).toEqual([200, expected]);
      expect(answer.body.equals(toBuffer(blob))).toBe(true);
      // published: the next one need not wait for it
      await vi.waitFor(async () => expect(await stage.partials()).toEqual([]), 5_000);
    }
    expect(registry.requests.find({ path })).toHaveLength(1);
  });
});

/** A proxy of the registry that can be started again where it was. */
interface Stage extends AsyncDisposable {
  readonly proxy: LocalProxy;
  restart(): Promise<void>;
  partials(): Promise<string[]>;
}

async function startStage(settings: Settings = {}): Promise<Stage> {
  const folder = await temporaryFolder();
  const start = (): Promise<LocalProxy> =>
    startLocalProxy(folder.path, { REGISTRIES: `http://${registry.host}`, ...settings });
  let proxy = await start();
  return {
    get proxy() {
      return proxy;
    },
    async restart() {
      proxy = await start();
    },
    partials: () => readdir(join(proxy.cacheDir, 'partial')),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

interface HalfPulled {
  readonly blob: Blob;
  readonly path: string;
  readonly pull: ReturnType<typeof ask>;
  readonly release: () => void;
}

/** A pull whose client has some bytes, and whose registry keeps the others back. */
async function halfPulled(proxy: LocalProxy, seed: string): Promise<HalfPulled> {
  const blob = randomBlob(seed, 2 * HALF);
  const repository = `team/${seed}`;
  registry.put({ repository, blobs: [blob] });
  const path = blobPath(repository, blob);
  const held = registry.hold({ path }, HALF);
  const secure = await openSecure(proxy, registry.host);
  const pull = ask(secure, path, { keepAlive: true });
  await once(secure, 'data');
  return { blob, path, pull, release: () => held.release() };
}

/** How a pull failed; watched from the moment it is called. */
async function failure(pull: Promise<unknown>): Promise<string> {
  return pull.then(
    () => 'it did not fail',
    (error: Error) => error.message,
  );
}

/** Resolves when connections are refused. */
async function untilClosed(proxy: LocalProxy): Promise<void> {
  await proxy.untilLogged((line) => line.includes('draining'));
  const isRefused = async (): Promise<boolean> => {
    try {
      const socket = await dial(proxy);
      // one that came just before the end is reset
      socket.on('error', () => undefined).destroy();
      return false;
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
    }
  };
  await vi.waitFor(async () => expect(await isRefused()).toBe(true), 5_000);
}
