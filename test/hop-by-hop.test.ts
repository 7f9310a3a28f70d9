import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy } from './support/local-proxy.ts';
import { askRegistry } from './support/wire.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** A registry that answers with the bytes it is told to, and remembers what it was sent. */
let registry: { readonly host: string; readonly server: Server };
let proxy: LocalProxy;
let reply = '';
let received = '';
let connections = 0;

beforeAll(async () => {
  folder = await temporaryFolder();
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (received.endsWith('\r\n\r\n') || received.endsWith('END')) socket.write(reply, 'latin1');
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A server on a port has an address that is an object.
  registry = { host: `localhost:${(server.address() as AddressInfo).port}`, server };
  proxy = await startLocalProxy(folder.path, { REGISTRIES: `http://${registry.host}`, ALLOW_PUSH: 'true' });
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  registry?.server.close();
  await folder?.[Symbol.asyncDispose]();
});

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';

/** A path of its own, passed through as it is. */
function asking(answer: string, headers: Record<string, string> = {}, method = 'GET') {
  [reply, received] = [answer, ''];
  return askRegistry(proxy, registry.host, '/v2/_catalog', { method, headers });
}

describe('what is meant for one hop alone goes no further', () => {
  test('to the registry', async () => {
    const { status } = await asking(OK, {
      connection: 'close, X-Mine',
      'x-mine': '1',
      'x-other': '2',
      'keep-alive': 'timeout=5',
      'proxy-connection': 'keep-alive',
      'proxy-authorization': 'Basic c2VjcmV0',
      te: 'trailers',
      upgrade: 'h2c',
      'http2-settings': 'AAMAAABk',
    });
    expect(status).toBe(200);
    const names = received.toLowerCase();
    expect(names).toContain('x-other: 2');
    expect(names).not.toMatch(/x-mine|keep-alive: timeout|^proxy-|\nproxy-|\nte:|upgrade|http2-settings/);
  });

  test('to the client', async () => {
    const head = [
      'HTTP/1.1 200 OK',
      'Content-Length: 2',
      'Connection: keep-alive, X-Mine',
      'Keep-Alive: timeout=99',
      'X-Mine: 1',
      'X-Other: 2',
      'Proxy-Authenticate: Basic',
      'Trailer: X-Sum',
      'Upgrade: h2c',
    ];
    const { headers } = await asking(`${head.join('\r\n')}\r\n\r\nhi`);
    expect(headers).toMatchObject({ 'x-other': '2', 'content-length': '2' });
    for (const name of ['x-mine', 'proxy-authenticate', 'trailer', 'upgrade'])
      expect(headers).not.toHaveProperty(name);
    expect(headers['keep-alive']).not.toBe('timeout=99');
  });
});

describe('a registry', () => {
  test.each([
    ['103 before the answer', `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`],
    ['102 again and again', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(3)}${OK}`],
    ['trailers', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n'],
    ['lines that end with LF', OK.replaceAll('\r\n', '\n')],
    ['some lines that end with LF', 'HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\nhi'],
  ])('may send %s', async (_name, answer) => {
    const before = connections;
    for (let turn = 0; turn < 2; turn += 1) {
      const { status, headers, body } = await asking(answer);
      expect([status, body.toString()]).toEqual([200, 'hi']);
      expect(headers).not.toHaveProperty('x-sum');
    }
    // the connection is none the worse for it
    expect(connections - before).toBeLessThanOrEqual(1);
  });

  test.each([
    ['a length and a coding', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n'],
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!'],
    ['NUL in a header', 'X: a\0b\r\nContent-Length: 2\r\n\r\nhi'],
    ['a space before the colon', 'X : a\r\nContent-Length: 2\r\n\r\nhi'],
    ['a folded line', 'X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi'],
  ])('may not send %s', async (_name, rest) => {
    const { status, body } = await asking(`HTTP/1.1 200 OK\r\n${rest}`);
    expect(status).toBe(502);
    expect(body.toString()).toMatch(/UPSTREAM_(PROTOCOL|RESET)/);
  });
});
