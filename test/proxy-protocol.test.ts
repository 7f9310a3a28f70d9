import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, ROOT_EXTENSIONS, temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { run } from './lab/job.ts';
import { startLocalProxy, type LocalProxy } from './support/local-proxy.ts';
import { ask, dial } from './support/wire.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

const BALANCER = '127.0.0.5';
const V1 = 'PROXY TCP4 192.0.2.10 127.0.0.1 5555 3128\r\n';
const V2 = Buffer.from('0d0a0d0a000d0a515549540a2111000cc00002137f00000115b30c38', 'hex');

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: ScriptedRegistry;
let proxy: LocalProxy;
let tlsProxy: LocalProxy;

beforeAll(async () => {
  folder = await temporaryFolder();
  registry = await startScriptedRegistry();
  const { certificate, key } = await makeCertificate(folder.path, 'server', {
    commonName: 'proxy.test',
    extensions: [...ROOT_EXTENSIONS, 'subjectAltName = DNS:proxy.test'],
  });
  const settings = {
    LISTEN: '127.0.0.1:0',
    REGISTRIES: `http://${registry.host}`,
    PROXY_PROTOCOL_FROM: BALANCER,
    CLIENT_HEADER_TIMEOUT: '1s',
    DENY_CLIENTS: '192.0.2.66',
  };
  proxy = await startLocalProxy(folder.path, settings);
  tlsProxy = await startLocalProxy(folder.path, {
    ...settings,
    CACHE_DIR: `${folder.path}/tls-cache`,
    LISTEN_TLS: '127.0.0.1:0',
    LISTEN_TLS_CERT_FILE: certificate,
    LISTEN_TLS_KEY_FILE: key,
  });
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await tlsProxy?.[Symbol.asyncDispose]();
  await registry?.close();
  await folder?.[Symbol.asyncDispose]();
});

const plainRequest = (path: string): string =>
  `GET http://${registry.host}${path} HTTP/1.1\r\nHost: ${registry.host}\r\nConnection: close\r\n\r\n`;

/** Sends pieces apart, as they may come, and reads to the end. */
async function exchange(from: string, ...pieces: readonly (string | Buffer)[]): Promise<string> {
  const socket = await dial(proxy, from);
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
  return readAll(socket);
}

async function readAll(socket: Socket): Promise<string> {
  try {
    return (await buffer(socket)).toString();
  } catch {
    return ''; // it was reset
  } finally {
    socket.destroy();
  }
}

describe('from a listed balancer', () => {
  test.each([
    ['version 1', V1, '192.0.2.10', '/v2/?a'],
    ['version 2', V2, '192.0.2.19', '/v2/?b'],
  ] as const)('%s gives the address of the client', async (_name, header, client, path) => {
    const together = Buffer.concat([Buffer.from(header), Buffer.from(plainRequest(path))]);
    expect(await exchange(BALANCER, together)).toMatch(/^HTTP\/1\.1 200 /);
    const [first, second] = [together.subarray(0, 9), together.subarray(9)];
    expect(await exchange(BALANCER, first, second)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await exchange(BALANCER, header, plainRequest(path))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await proxy.untilAnswered((line) => line['client'] === client)).toMatchObject({ status: '200' });
  });

  test("a health check of its own has the balancer's address", async () => {
    const local = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
    expect(await exchange(BALANCER, local, plainRequest('/v2/'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await proxy.untilAnswered(({ client }) => client === BALANCER)).toBeDefined();
  });

  test('the rules hold for the client', async () => {
    const denied = V1.replace('192.0.2.10', '192.0.2.66');
    expect(await exchange(BALANCER, denied, plainRequest('/v2/'))).toMatch(/^HTTP\/1\.1 403 /);
  });

  test('an intercepted connection has the address too', async () => {
    const socket = await dial(proxy, BALANCER);
    socket.write(
      `${V1.replace('192.0.2.10', '192.0.2.77')}CONNECT ${registry.host} HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    const [head] = await once(socket, 'data');
    expect(String(head)).toMatch(/^HTTP\/1\.1 200 /);
    const secure = connectTls({ socket, servername: 'localhost', ca: readFileSync(proxy.caFile) });
    expect((await ask(secure, '/v2/')).status).toBe(200);
    expect(await proxy.untilAnswered(({ client }) => client === '192.0.2.77')).toMatchObject({
      status: '200',
    });
  });

  test("a client that does not trust the proxy's CA is named by its own address", async () => {
    const balancer = createServer((client) => {
      const onward = connect({ host: proxy.host, port: proxy.port, localAddress: BALANCER });
      onward.write(V1.replace('192.0.2.10', '192.0.2.88'));
      for (const socket of [client, onward]) socket.on('error', () => socket.destroy());
      client.pipe(onward).pipe(client);
    });
    balancer.listen(0, '127.0.0.1');
    await once(balancer, 'listening');
    // A server on a port has an address that is an object.
    const through = `http://127.0.0.1:${(balancer.address() as AddressInfo).port}`;
    const command = ['curl', '--silent', '--proxy', through, `https://auth.docker.io/`];
    // 60: the certificate of the peer cannot be authenticated
    expect((await run(command, { env: {}, mayFail: true })).code).toBe(60);
    balancer.close();
    const line = await proxy.untilLogged((text) => text.includes("does not trust the proxy's CA"));
    expect(JSON.parse(line)).toMatchObject({ client: '192.0.2.88' });
  });

  test('what begins otherwise is told, with the balancer', async () => {
    expect(await exchange(BALANCER, 'GET / HTTP/1.1\r\n\r\n')).toBe('');
    const line = await proxy.untilLogged((text) => text.includes('did not begin with the PROXY protocol'));
    expect(JSON.parse(line)).toMatchObject({ balancer: BALANCER });
  });

  test.each([
    ['nothing of the protocol', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a line without an end', `PROXY TCP4 ${'1'.repeat(5000)}`],
    ['version 2 of a huge size', Buffer.from('0d0a0d0a000d0a515549540a2111ffff', 'hex')],
    ['a part, and no more in time', 'PROXY TCP4 192.0'],
    ['nothing in time', ''],
  ])('%s is cut without an answer', async (_name, bytes) => {
    const begun = performance.now();
    expect(await exchange(BALANCER, bytes)).toBe('');
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  test('slow headers of HTTP are still refused in time', async () => {
    const answer = await exchange(BALANCER, V1, 'GET / HTTP/1.1\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });
});

test('from anybody else it is no request, and the address stays', async () => {
  expect(await exchange('127.0.0.6', V1, plainRequest('/v2/'))).toMatch(/^HTTP\/1\.1 400 /);
  expect(await exchange('127.0.0.6', Buffer.concat([V2, Buffer.from(plainRequest('/v2/'))]))).toMatch(
    /^HTTP\/1\.1 400 /,
  );
  expect(await exchange('127.0.0.6', plainRequest('/v2/'))).toMatch(/^HTTP\/1\.1 200 /);
  expect(await proxy.untilAnswered(({ client }) => client === '127.0.0.6')).toMatchObject({ status: '200' });
});

test('it comes before TLS', async () => {
  const socket = await dial(tlsProxy, BALANCER);
  socket.write(V2);
  const secure = connectTls({ socket, servername: 'proxy.test', rejectUnauthorized: false });
  await once(secure, 'secureConnect');
  secure.write(plainRequest('/v2/'));
  expect((await buffer(secure)).toString()).toMatch(/^HTTP\/1\.1 200 /);
  expect(await tlsProxy.untilAnswered(({ client }) => client === '192.0.2.19')).toMatchObject({
    status: '200',
  });
});
