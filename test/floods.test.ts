import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { makeCertificate, ROOT_EXTENSIONS, temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy, type Settings } from './support/local-proxy.ts';
import { ask, askPlain, askRegistry, dial, openSecure, openTunnel } from './support/wire.ts';
import { randomBlob, textContent } from './upstream/content.ts';
import { blobPath } from './upstream/paths.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: ScriptedRegistry;
let proxy: LocalProxy;
const sockets: Socket[] = [];

beforeEach(async () => {
  folder = await temporaryFolder();
  registry = await startScriptedRegistry();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await proxy?.[Symbol.asyncDispose]();
  await registry?.close();
  await folder?.[Symbol.asyncDispose]();
});

async function start(settings: Settings = {}): Promise<void> {
  proxy = await startLocalProxy(folder.path, { REGISTRIES: `http://${registry.host}`, ...settings });
}

async function open(from?: string): Promise<Socket> {
  const socket = await dial(proxy, from);
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

/** Milliseconds until the proxy ends it. */
async function lifeOf(socket: Socket): Promise<number> {
  const begun = performance.now();
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'end'), once(socket, 'close')]);
  socket.destroy();
  return performance.now() - begun;
}

const descriptors = (): number => readdirSync(`/proc/${proxy.pid}/fd`).length;

/** Seconds of CPU so far. */
function cpu(): number {
  const stat = readFileSync(`/proc/${proxy.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Sends one byte after the other, for as long as it is taken. */
function drip(socket: Socket, text: string): void {
  let at = 0;
  const timer = setInterval(() => void socket.write(text[at++ % text.length] ?? ''), 100);
  socket.once('close', () => clearInterval(timer));
}

describe('connections beyond the limit', () => {
  test('of one client are answered 503, and those of others are taken', async () => {
    await start({ MAX_CONNECTIONS_PER_CLIENT: '5' });
    for (let n = 0; n < 5; n += 1) await open();
    for (let n = 0; n < 3; n += 1) {
      const { status, body } = await askPlain(proxy, '/');
      expect(status).toBe(503);
      expect(JSON.parse(body.toString())).toMatchObject({
        errors: [{ code: 'UNAVAILABLE', detail: { reason: 'CONNECTIONS_EXHAUSTED' } }],
      });
    }
    expect((await openTunnel(proxy, registry.host)).status).toBe(503);
    expect((await askPlain(proxy, '/', { from: '127.0.0.2' })).status).toBe(200);
    const told = proxy.log.filter((line) => line.includes('MAX_CONNECTIONS_PER_CLIENT'));
    expect(told.map((line) => JSON.parse(line))).toMatchObject([{ client: '127.0.0.1', level: 'warn' }]);
    sockets.pop()?.destroy();
    await vi.waitFor(async () => expect((await askPlain(proxy, '/')).status).toBe(200), 5_000);
  });

  test('of all clients are answered 503', async () => {
    await start({ MAX_CONNECTIONS: '5' });
    for (let n = 0; n < 5; n += 1) await open(`127.0.0.${n + 2}`);
    expect((await askPlain(proxy, '/')).status).toBe(503);
    for (const socket of sockets.splice(0)) socket.destroy();
    await vi.waitFor(async () => expect((await askPlain(proxy, '/')).status).toBe(200), 5_000);
  });

  test('of TLS are cut', async () => {
    const { certificate, key } = await makeCertificate(folder.path, 'server', {
      commonName: 'proxy.test',
      extensions: ROOT_EXTENSIONS,
    });
    await start({
      MAX_CONNECTIONS: '2',
      LISTEN_TLS: '127.0.0.1:0',
      LISTEN_TLS_CERT_FILE: certificate,
      LISTEN_TLS_KEY_FILE: key,
      CLIENT_HEADER_TIMEOUT: '30s',
    });
    for (let n = 0; n < 2; n += 1) await open();
    expect(await lifeOf((await dial(proxy)).resume())).toBeLessThan(5_000);
  });
});

describe('a slow client', () => {
  // Node looks after its connections every five seconds
  const SOON = 9_000;

  test('that never ends its headers is refused in time, wherever it is', async () => {
    await start({ CLIENT_HEADER_TIMEOUT: '1s' });
    const plain = await open();
    const tunnelled = await openSecure(proxy, registry.host);
    const used = await openSecure(proxy, registry.host);
    await ask(used, '/v2/', { keepAlive: true });
    const all = [plain, tunnelled, used];
    const lives = all.map((socket) => {
      drip(socket.resume(), 'GET /v2/ HTTP/1.1\r\nA: b'.padEnd(10_000, 'b'));
      return lifeOf(socket);
    });
    for (const life of await Promise.all(lives)) expect(life).toBeLessThan(SOON);
  });

  test('that never ends its handshake is cut in time', async () => {
    await start({ CLIENT_HEADER_TIMEOUT: '1s' });
    const { socket: silent } = await openTunnel(proxy, registry.host);
    const { socket: slow } = await openTunnel(proxy, registry.host);
    drip(slow, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(500, 'x'));
    for (const life of await Promise.all([silent.resume(), slow.resume()].map(lifeOf)))
      expect(life).toBeLessThan(SOON);
  });

  test('that stops in its body is cut in time, and upstream with it', async () => {
    await start({ CLIENT_BODY_TIMEOUT: '1s', ALLOW_PUSH: 'true', PROXY_REQUEST_BUFFERING: 'false' });
    const socket = await openSecure(proxy, registry.host);
    socket.write('POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc');
    expect(await lifeOf(socket.resume())).toBeLessThan(SOON);
  });

  test('that keeps a connection and says nothing is let go', async () => {
    await start({ KEEPALIVE_TIMEOUT: '1s' });
    const socket = await openSecure(proxy, registry.host);
    await ask(socket, '/v2/', { keepAlive: true });
    expect(await lifeOf(socket.resume())).toBeLessThan(SOON);
  });

  test('that reads nothing is cut, whatever it asked for', async () => {
    await start({ SEND_TIMEOUT: '1s' });
    const large = 32 * 2 ** 20;
    const blob = randomBlob('unread', large);
    registry.put({ repository: 'team/app', blobs: [blob] });
    registry.serve('/v2/_catalog', blob);
    registry.serve('/v2/team/app/tags/list', textContent(`"${'t'.repeat(3_500_000)}"`));
    const before = descriptors();
    for (const path of [blobPath('team/app', blob), '/v2/_catalog', '/v2/team/app/tags/list']) {
      const socket = await openSecure(proxy, registry.host);
      sockets.push(socket);
      // several times, as the kernel takes some megabytes in anyway
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(path.includes('tags') ? 6 : 1));
      await once(socket, 'readable');
    }
    await vi.waitFor(() => expect(descriptors()).toBeLessThan(before + 3), 20_000);
    // one that waits is not one that does not read
    registry.on({ path: '/v2/team/held/tags/list' }, { latency: 3_000 });
    expect((await askRegistry(proxy, registry.host, '/v2/team/held/tags/list')).status).toBe(404);
  });
});

test('a flood of headers takes no more than they may be large', async () => {
  await start();
  const before = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${proxy.pid}/status`, 'utf8'))?.[1]);
  const flood = 'X: '.padEnd(64 * 1024, 'x');
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = await open();
      socket.resume();
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n');
      for (let n = 0; n < 20 && !socket.destroyed; n += 1) socket.write(`${flood}\r\n`);
      await lifeOf(socket);
    }),
  );
  const after = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${proxy.pid}/status`, 'utf8'))?.[1]);
  expect(after - before).toBeLessThan(120 * 1024);
  expect((await askPlain(proxy, '/')).status).toBe(200);
});

test('when descriptors run out the proxy neither ends nor spins, and serves again when there are some', async () => {
  await start({ CLIENT_HEADER_TIMEOUT: '60s' });
  const blob = randomBlob('kept', 100_000);
  registry.put({ repository: 'team/app', blobs: [blob] });
  const path = blobPath('team/app', blob);
  expect((await askRegistry(proxy, registry.host, path)).status).toBe(200);
  // util-linux: takes effect in the running process, as Node raises its own limit at the start
  execFileSync('prlimit', ['--pid', String(proxy.pid), '--nofile=256:256']);
  await Promise.all(Array.from({ length: 600 }, () => open()));
  await delay(500);
  const begun = cpu();
  await delay(2_000);
  expect(cpu() - begun).toBeLessThan(0.6);
  expect(proxy.running).toBe(true);
  for (const socket of sockets.splice(0)) socket.destroy();
  await vi.waitFor(async () => {
    const { status, body } = await askRegistry(proxy, registry.host, path);
    expect([status, body.length]).toEqual([200, blob.size]);
  }, 15_000);
  const other = randomBlob('new', 100_000);
  registry.put({ repository: 'team/app', blobs: [other] });
  expect((await askRegistry(proxy, registry.host, blobPath('team/app', other))).status).toBe(200);
});
