import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createRace } from './race.ts';

let server: Server;
let port: number;
let arrivals: string[];

beforeEach(async () => {
  arrivals = [];
  server = createServer((socket) => {
    arrivals.push(socket.localAddress ?? '');
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // a server on a port has an address that is an object
  port = (server.address() as AddressInfo).port;
});

afterEach(() => server.close());

const never = new AbortController().signal;

test('every address is tried, and the one that failed last time is tried last', async () => {
  const race = createRace();
  const addresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.1'];
  const socket = await race.connect(addresses, port, never);
  expect(socket.remoteAddress).toBe('127.0.0.1');
  socket.destroy();
  const other = createServer();
  other.listen(port, '127.0.0.2');
  await once(other, 'listening');
  const again = await race.connect(addresses, port, never);
  expect(again.remoteAddress).toBe('127.0.0.1');
  again.destroy();
  other.close();
});

test('where none is reached, each has its say', async () => {
  const failure: unknown = await createRace()
    .connect(['127.0.0.2', '::1'], port, never)
    .catch((thrown: unknown) => thrown);
  expect(failure).toBeInstanceOf(AggregateError);
  expect(String(failure)).toContain(`127.0.0.2:${port}`);
  expect(String(failure)).toContain('::1');
});

test('it ends when it is told to, with the reason that it is given', async () => {
  const over = AbortSignal.abort(new Error('enough'));
  await expect(createRace().connect(['127.0.0.1'], port, over)).rejects.toThrow('enough');
});

test('the families take turns', async () => {
  const order = ['127.0.0.2', '127.0.0.3', '::1'];
  const failure: unknown = await createRace()
    .connect(order, port, never)
    .catch((thrown: unknown) => thrown);
  const said = failure instanceof AggregateError ? failure.errors.map(String) : [];
  expect(said.map((text) => /(127\.0\.0\.\d|::1):\d+/.exec(text)?.[1])).toEqual([
    '127.0.0.2',
    '::1',
    '127.0.0.3',
  ]);
});
