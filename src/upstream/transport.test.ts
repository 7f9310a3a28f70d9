import type { LookupAddress } from 'node:dns';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { asBreakwaterError } from '../registry/errors.ts';
import { createTlsProfiles } from './tls/profiles.ts';
import { createTransport, type Transport } from './transport.ts';
import { createDialer, newVia } from './way/dialer.ts';
import { createNames } from './way/names.ts';
import { createRace } from './way/race.ts';
import { createRoutes } from './way/routes.ts';

/** What the names of this test resolve to. */
let addresses: string[];
vi.mock('node:dns', () => ({
  lookup: (_host: string, _options: object, callback: (error: null, found: LookupAddress[]) => void) =>
    setImmediate(
      callback,
      null,
      addresses.map((address) => ({ address, family: 4 })),
    ),
}));

let transport: Transport;

afterEach(() => transport.close());

function get(port: number, scheme = 'http') {
  return transport.send({
    url: new URL(`${scheme}://registry.test:${port}/`),
    method: 'GET',
    headers: {},
  });
}

function create(connectTimeout: number): void {
  const none = { httpsProxy: undefined, httpProxy: undefined, noProxy: [], connections: [] };
  const tls = createTlsProfiles({ ...none, extraCaFile: undefined, extraCaDir: undefined, verifySsl: true });
  const names = createNames({ ipv4Only: true, now: Date.now });
  transport = createTransport({
    dialer: createDialer({ names, race: createRace(), routes: createRoutes(none), tls, via: newVia() }),
    tls,
    connectTimeout,
    readTimeout: 60_000,
    sendTimeout: 60_000,
    destinations: { ofRegistries: () => undefined, ofClients: () => () => undefined },
  });
}

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

test('of several addresses each is tried', async () => {
  create(5_000);
  const server = createServer((_request, response) => response.end('here'));
  const port = await listening(server);
  addresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.1'];
  const answer = await get(port);
  expect(await answer.body.text()).toBe('here');
  server.close();
});

test('a host that takes connections and makes no TLS of them has the time of a connection, not of an answer', async () => {
  create(300);
  const server = createTcpServer((socket) => socket.on('error', () => undefined));
  const port = await listening(server);
  addresses = ['127.0.0.1'];
  const began = performance.now();
  const failure = await get(port, 'https').catch(asBreakwaterError);
  expect(failure).toMatchObject({ code: 'UPSTREAM_CONNECT' });
  expect(performance.now() - began).toBeLessThan(3_000);
  server.close();
});

test('of many requests at once the origin has 128, and the others wait for their turn', async () => {
  create(5_000);
  const waiting: (() => void)[] = [];
  const full = Promise.withResolvers<void>();
  const server = createServer((_request, response) => {
    waiting.push(() => void response.end('here'));
    if (waiting.length === 128) full.resolve();
  });
  const port = await listening(server);
  addresses = ['127.0.0.1'];
  const asked = Array.from({ length: 200 }, async () => {
    const { status, body } = await get(port);
    await body.dump();
    return status;
  });
  await full.promise;
  const [first] = waiting.splice(0, 1);
  expect(waiting).toHaveLength(127);
  first?.();
  server.on('request', () => waiting.pop()?.());
  for (const end of waiting.splice(0)) end();
  expect(new Set(await Promise.all(asked))).toEqual(new Set([200]));
  server.close();
});
