import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { ConnectionOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy } from './support/local-proxy.ts';
import { ask, dial, openSecure, openSecureEarly, openTunnel, sendRaw } from './support/wire.ts';

const MB = 1_000_000;
const REGISTRIES = 'registry.test:5000 *.suffix.test .domain.test ghcr.io';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let proxy: LocalProxy;

beforeAll(async () => {
  folder = await temporaryFolder();
  proxy = await startLocalProxy(folder.path, {
    REGISTRIES,
    PROXY_CONNECT_READ_TIMEOUT: '1s',
    PROXY_CONNECT_SEND_TIMEOUT: '1s',
    TUNNEL_ALLOW: '*',
  });
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

describe('a host that is not intercepted', () => {
  test('gets and gives every byte as it is', async () => {
    await using target = await startTarget();
    const [there, back] = [randomBytes(5 * MB), randomBytes(5 * MB)];
    const { client, server } = await tunnelTo(target);
    const [atServer, atClient] = await Promise.all([
      readToEnd(server),
      readToEnd(client),
      sendAll(client, there),
      sendAll(server, back),
    ]);
    expect(sha256(atServer)).toBe(sha256(there));
    expect(sha256(atClient)).toBe(sha256(back));
  });

  test('gets what came in one packet with the CONNECT', async () => {
    await using target = await startTarget();
    const socket = await dial(proxy);
    socket.end(`CONNECT ${target.name} HTTP/1.1\r\nHost: ${target.name}\r\n\r\nearly`);
    const server = await target.accepted();
    expect((await readToEnd(server)).toString()).toBe('early');
    server.end();
    socket.destroy();
  });

  test('still answers a client that has ended its side', async () => {
    await using target = await startTarget();
    const { client, server } = await tunnelTo(target);
    client.end('question');
    expect((await readToEnd(server)).toString()).toBe('question');
    server.write('first ');
    const [first] = await once(client, 'data');
    expect(String(first)).toBe('first ');
    server.end('second');
    expect((await readToEnd(client)).toString()).toBe('second');
  });

  test('still hears from a client after it has ended its own side', async () => {
    await using target = await startTarget();
    const { client, server } = await tunnelTo(target);
    server.end('goodbye');
    expect((await readToEnd(client)).toString()).toBe('goodbye');
    client.write('still ');
    const [first] = await once(server, 'data');
    expect(String(first)).toBe('still ');
    client.end('here');
    expect((await readToEnd(server)).toString()).toBe('here');
  });

  test('is told when the client resets, and the other way round', async () => {
    await using target = await startTarget();
    for (const [from, to] of [
      ['client', 'server'],
      ['server', 'client'],
    ] as const) {
      const ends = await tunnelTo(target);
      ends[from].resetAndDestroy();
      const [error] = await once(ends[to].resume(), 'error');
      expect(error).toMatchObject({ code: 'ECONNRESET' });
    }
  });

  test('is held back by a client that does not read, not by the memory of the proxy', async () => {
    await using target = await startTarget();
    await using patient = await startLocalProxy(folder.path, {
      CACHE_DIR: `${folder.path}/patient`,
      PROXY_CONNECT_READ_TIMEOUT: '60s',
    });
    const { client, server } = await tunnelTo(target, patient);
    // what V8 and the sockets need anyway is there before it is measured
    await Promise.all([sendAll(server, Buffer.alloc(100 * MB), false), read(client, 100 * MB)]);
    const before = residentBytes(patient.pid);

    const offered = randomBytes(MB);
    const send = async (): Promise<void> => {
      for (let n = 0; n < 200; n++) await sendAll(server, offered, n === 199);
    };
    const hash = createHash('sha256');
    const wait = async (): Promise<void> => {
      const begun = server.bytesWritten;
      const taken = (await standstill(() => server.bytesWritten - server.writableLength)) - begun;
      expect(taken).toBeLessThan(60 * MB);
      expect(residentBytes(patient.pid) - before).toBeLessThan(12 * MB);
      for await (const chunk of client) hash.update(chunk);
    };
    await Promise.all([send(), wait()]);
    const whole = createHash('sha256');
    for (let n = 0; n < 200; n++) whole.update(offered);
    expect(hash.digest('hex')).toBe(whole.digest('hex'));
  });

  test('is left when nothing passes for the time that is set', async () => {
    await using target = await startTarget();
    const { client, server } = await tunnelTo(target);
    const begun = performance.now();
    await Promise.all([readToEnd(client), readToEnd(server)]);
    expect(performance.now() - begun).toBeGreaterThan(900);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test.each(['127.0.0.1:1', 'nowhere.invalid:443'])(
    'is 502 where it cannot be reached: %s',
    async (target) => {
      const raw = await sendRaw(proxy, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
      expect(raw).toMatch(/^HTTP\/1\.1 502 /);
      const [error] = JSON.parse(raw.slice(raw.indexOf('\r\n\r\n') + 4)).errors;
      expect(error).toMatchObject({ code: 'UNKNOWN', detail: { reason: 'TUNNEL_FAILED' } });
      expect(error.message).toContain(target);
    },
  );

  test.each(['nonsense', 'host:0', 'host:65536', 'a b:443', ':443', 'user@host:443', '[::1:443'])(
    'must be a host and a port, not %s',
    async (target) => {
      const raw = await sendRaw(proxy, `CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect(raw).toMatch(/^HTTP\/1\.1 400 /);
      expect(raw).toContain('"errors"');
    },
  );

  test('is left at once when the client is gone before it is reached', async () => {
    const connections = new Set<Socket>();
    const server = createServer((socket) => {
      connections.add(socket);
      socket
        .on('error', () => undefined)
        .on('close', () => connections.delete(socket))
        .resume();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const target = `127.0.0.1:${portOf(server)}`;
    await using stopped = await startLocalProxy(folder.path, { CACHE_DIR: `${folder.path}/stopped` });
    const socket = await dial(stopped);
    stopped.signal('SIGSTOP');
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    socket.resetAndDestroy();
    stopped.signal('SIGCONT');
    const next = await openTunnel(stopped, target);
    // the one that is left is that of the client that stayed
    await vi.waitFor(() => expect(connections.size).toBe(1), 5_000);
    next.socket.destroy();
    server.close();
  });
});

describe('a host of REGISTRIES is intercepted', () => {
  test.each([
    'registry.test:5000',
    'a.suffix.test:443',
    'a.b.suffix.test:443',
    'domain.test:443',
    'a.domain.test:443',
    'GHCR.io:443',
    'registry-1.docker.io:443',
    'auth.docker.io:443',
  ])('%s', async (target) => {
    const { status, body } = await ask(await openSecure(proxy, target), '/v1/search');
    expect(status).toBe(405);
    expect(body.toString()).toContain('V1_UNSUPPORTED');
  });

  test.each([
    'registry.test:443',
    'suffix.test:443',
    'xsuffix.test:443',
    'ghcr.io:8443',
    'production.cloudflare.docker.com:443',
  ])('but not %s', async (target) => {
    // it is no name here, which only who wants to tunnel finds out
    expect((await openTunnel(proxy, target)).status).toBe(502);
  });

  test('once, not in itself', async () => {
    const secure = await openSecure(proxy, 'ghcr.io:443');
    secure.write('CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io:443\r\n\r\n');
    expect((await readToEnd(secure)).toString()).toMatch(/^HTTP\/1\.1 405 /);
  });
});

describe('TLS with an intercepted host', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s works', async (version) => {
    const secure = await secured({ minVersion: version, maxVersion: version });
    expect(secure.getProtocol()).toBe(version);
    expect((await ask(secure, '/v1/')).status).toBe(405);
  });

  test('TLS 1.1 does not', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
    await expect(secured(old)).rejects.toThrow(/alert protocol version/i);
  });

  test('speaks HTTP/1.1 where the client would rather speak HTTP/2', async () => {
    const secure = await secured({ ALPNProtocols: ['h2', 'http/1.1'] });
    expect(secure.alpnProtocol).toBe('http/1.1');
    expect((await ask(secure, '/v1/')).status).toBe(405);
  });

  test('speaks nothing where the client speaks HTTP/2 alone', async () => {
    await expect(secured({ ALPNProtocols: ['h2'] })).rejects.toThrow(/no application protocol/i);
  });

  test('shows a P-256 leaf for that name, signed by the CA', async () => {
    const secure = await secured({});
    const leaf = secure.getPeerCertificate();
    expect(leaf).toMatchObject({ asn1Curve: 'prime256v1', bits: 256, subjectaltname: 'DNS:ghcr.io' });
    expect(secure.authorized).toBe(true);
    secure.destroy();
    await expect(openSecure(proxy, 'ghcr.io:443', { servername: 'quay.io' })).rejects.toThrow(
      /does not match certificate/,
    );
  });

  test('begins in the packet of the CONNECT where the client is that quick', async () => {
    const secure = await openSecureEarly(proxy, 'ghcr.io:443');
    expect(secure.authorized).toBe(true);
    expect((await ask(secure, '/v1/')).status).toBe(405);
  });

  test('may carry one request after another', async () => {
    const secure = await secured({});
    for (let n = 0; n < 3; n++) {
      secure.write('GET /v1/ HTTP/1.1\r\nHost: ghcr.io\r\n\r\n');
      const [answer] = await once(secure, 'data');
      expect(String(answer)).toMatch(/^HTTP\/1\.1 405 /);
    }
    secure.destroy();
  });
});

function secured(options: ConnectionOptions) {
  return openSecure(proxy, 'ghcr.io:443', options);
}

/** A server that hands the connections it gets to the test. */
interface Target extends AsyncDisposable {
  readonly name: string;
  accepted(): Promise<Socket>;
}

async function startTarget(): Promise<Target> {
  const server: Server = createServer({ allowHalfOpen: true });
  const sockets = new Set<Socket>();
  const waiting: Socket[] = [];
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    waiting.push(socket);
    server.emit('accepted');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    name: `127.0.0.1:${portOf(server)}`,
    async accepted() {
      for (;;) {
        const socket = waiting.shift();
        if (socket !== undefined) return socket;
        await once(server, 'accepted');
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function portOf(server: Server): number {
  // A server on a port has an address that is an object.
  return (server.address() as AddressInfo).port;
}

async function tunnelTo(target: Target, through = proxy): Promise<{ client: Socket; server: Socket }> {
  const [{ socket: client, status }, server] = await Promise.all([
    openTunnel(through, target.name),
    target.accepted(),
  ]);
  expect(status).toBe(200);
  return { client, server };
}

/** All that comes until the other side ends; the socket stays open for what is still to be sent. */
async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}

/** Writes everything, waiting as long as the other side makes it wait. */
function sendAll(socket: Socket, bytes: Buffer, end = true): Promise<void> {
  return pipeline(
    async function* () {
      yield bytes;
    },
    socket,
    { end },
  );
}

async function read(socket: Socket, length: number): Promise<void> {
  for (let got = 0; got < length;) {
    const chunk: unknown = socket.read();
    if (chunk instanceof Buffer) got += chunk.length;
    else await once(socket, 'readable');
  }
}

/** The value that a figure has come to when it does not move any more. */
async function standstill(figure: () => number): Promise<number> {
  let last = -1;
  await vi.waitFor(
    () => {
      const now = figure();
      const same = now === last;
      last = now;
      if (!same) throw new Error('it still moves');
    },
    { timeout: 20_000, interval: 1_000 },
  );
  return last;
}

function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
