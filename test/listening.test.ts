import { once } from 'node:events';
import { connect, type NetConnectOpts } from 'node:net';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { Job } from './lab/job.ts';
import { serveCommand, tryToServe } from './support/local-proxy.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
});

afterEach(() => folder[Symbol.asyncDispose]());

function settings(listen: string): Record<string, string> {
  return {
    LISTEN: listen,
    CACHE_DIR: join(folder.path, 'cache'),
    CA_DIR: join(folder.path, 'ca'),
  };
}

/** Starts a proxy; gives the places it says that it listens on. */
async function start(listen: string): Promise<{ job: Job; places: readonly string[] }> {
  const { argv, env } = serveCommand(settings(listen));
  const job = new Job(argv, { env });
  const line = await job.stderr.until((said) => said.includes('listening on'));
  return { job, places: line.replace(/^.*listening on\s+/, '').split(', ') };
}

async function greeting(options: NetConnectOpts): Promise<string> {
  const socket = connect(options);
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n');
  return text(socket);
}

test('several addresses, of both families, and a socket in the file system', async () => {
  const path = join(folder.path, 'socket');
  const { job, places } = await start(`127.0.0.1:0 [::1]:0, unix:${path}`);
  expect(places).toEqual([
    expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    expect.stringMatching(/^\[::1\]:\d+$/),
    `unix:${path}`,
  ]);
  const ports = places.map((place) => Number(place.split(':').at(-1)));
  for (const options of [
    { host: '127.0.0.1', port: ports[0] ?? 0 },
    { host: '::1', port: ports[1] ?? 0 },
    { path },
  ])
    expect(await greeting(options)).toContain('The docker caching proxy is working!');
  expect((await job.stop()).code).toBe(0);
});

test('a socket that a killed process left is taken over, one that is in use is not', async () => {
  const path = join(folder.path, 'socket');
  const killed = await start(`unix:${path}`);
  await killed.job.stop('SIGKILL');
  const { job } = await start(`unix:${path}`);
  expect(await greeting({ path })).toContain('The docker caching proxy is working!');
  const other = await tryToServe({ ...settings(`unix:${path}`), CACHE_DIR: join(folder.path, 'other') });
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('Another program listens there')]);
  expect(await greeting({ path })).toContain('The docker caching proxy is working!');
  await job.stop();
});
