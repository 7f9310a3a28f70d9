import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy } from './support/local-proxy.ts';
import { askRegistry } from './support/wire.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** A registry that closes a connection the moment it is used a second time. */
let registry: { readonly host: string; readonly server: Server };
let proxy: LocalProxy;
const open = new Set<Socket>();
let asked: string[] = [];
let answer = '';

const SENT = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';

beforeAll(async () => {
  folder = await temporaryFolder();
  const server = createServer((socket) => {
    let used = false;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      asked.push(chunk.toString('latin1').split(' HTTP/')[0] ?? '');
      if (used) socket.destroy();
      else socket.write(answer);
      used = true;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A server on a port has an address that is an object.
  registry = { host: `localhost:${(server.address() as AddressInfo).port}`, server };
  proxy = await startLocalProxy(folder.path, { REGISTRIES: `http://${registry.host}` });
});

beforeEach(() => {
  [asked, answer] = [[], SENT];
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  registry?.server.close();
  await folder?.[Symbol.asyncDispose]();
});

const asking = (path: string, method = 'GET') => askRegistry(proxy, registry.host, path, { method });

test('a question on a connection that the registry is just closing is asked again', async () => {
  for (let turn = 0; turn < 3; turn += 1) expect((await asking(`/v2/_catalog?${turn}`)).status).toBe(200);
  // each but the first on the connection of the one before, and then on a new one
  expect(asked).toEqual([0, 1, 1, 2, 2].map((turn) => `GET /v2/_catalog?${turn}`));
});

test('what may not be done twice is not', async () => {
  await asking('/v2/_catalog');
  asked = [];
  // a token service: pushing is off, and this is passed through
  const { status } = await asking('/token', 'POST');
  expect([status, asked.length]).toEqual([502, 1]);
});

test('an idle connection is closed before the time that the registry gives it is over', async () => {
  answer = SENT.replace('\r\n\r\n', '\r\nKeep-Alive: timeout=3\r\n\r\n');
  await vi.waitFor(async () => {
    await asking('/v2/_catalog');
    expect(open.size).toBe(1);
  });
  const [socket] = open;
  let endedByProxy = false;
  socket?.once('end', () => {
    endedByProxy = true;
    socket.end();
  });
  await vi.waitFor(() => expect(open.size).toBe(0), 5_000);
  expect(endedByProxy).toBe(true);
});
