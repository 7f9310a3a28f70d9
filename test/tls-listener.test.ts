import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { makeCertificate, ROOT_EXTENSIONS, temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, tryToServe, type LocalProxy, type Settings } from './support/local-proxy.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

const SERVER = ['subjectAltName = DNS:proxy.test', 'extendedKeyUsage = serverAuth'];
const CLIENT = ['extendedKeyUsage = clientAuth'];

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: ScriptedRegistry;
let ca: string;
let settings: Settings;
const at = (name: string): string => `${folder.path}/${name}`;
const proxies: LocalProxy[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  registry = await startScriptedRegistry();
  const root = await makeCertificate(folder.path, 'root', {
    commonName: 'root',
    extensions: ROOT_EXTENSIONS,
  });
  const other = await makeCertificate(folder.path, 'other', {
    commonName: 'other',
    extensions: ROOT_EXTENSIONS,
  });
  for (const name of ['first', 'second'])
    await makeCertificate(folder.path, name, { commonName: name, extensions: SERVER, issuer: root });
  await makeCertificate(folder.path, 'alice', { commonName: 'alice', extensions: CLIENT, issuer: root });
  await makeCertificate(folder.path, 'eve', { commonName: 'alice', extensions: CLIENT, issuer: other });
  ca = readFileSync(root.certificate, 'utf8');
  for (const kind of ['crt', 'key']) copyFileSync(at(`first.${kind}`), at(`server.${kind}`));
  settings = {
    LISTEN_TLS: '127.0.0.1:0',
    LISTEN_TLS_CERT_FILE: at('server.crt'),
    LISTEN_TLS_KEY_FILE: at('server.key'),
    REGISTRIES: `http://${registry.host}`,
  };
});

afterAll(async () => {
  for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
  await registry?.close();
  await folder?.[Symbol.asyncDispose]();
});

/** A proxy whose `port` is that of its listener for TLS. */
async function start(more: Settings = {}): Promise<{ proxy: LocalProxy; port: number }> {
  const proxy = await startLocalProxy(folder.path, {
    CACHE_DIR: at(`cache-${proxies.length}`),
    ...settings,
    ...more,
  });
  proxies.push(proxy);
  return { proxy, port: proxy.port };
}

async function secure(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'proxy.test', ca, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

const identity = (name: string): ConnectionOptions => ({
  cert: readFileSync(at(`${name}.crt`)),
  key: readFileSync(at(`${name}.key`)),
});

function curl(port: number, url: string, ...flags: string[]): string {
  const own = ['--proxy-cacert', at('root.crt'), '--proxy', `https://proxy.test:${port}`, '--noproxy', ''];
  const names = ['--resolve', `proxy.test:${port}:127.0.0.1`];
  return execFileSync(
    'curl',
    ['-sS', '-o', '/dev/null', '-w', '%{http_code} %{http_connect}', ...own, ...names, ...flags, url],
    {
      encoding: 'utf8',
    },
  );
}

describe('a client that speaks TLS with the proxy', () => {
  test('reaches an intercepted registry, TLS within TLS, and the pages of the proxy', async () => {
    const { proxy, port } = await start();
    expect(curl(port, `https://${registry.host}/v2/`, '--cacert', proxy.caFile)).toBe('200 200');
    const page = await secure(port);
    page.write('GET / HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n');
    expect(String((await once(page, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 OK/);
    const line = await proxy.untilAnswered(({ uri }) => uri === '/v2/');
    expect(line).toMatchObject({ client: '127.0.0.1', status: '200' });
  });

  test('sees the new certificate when the files changed, and the old one while they do not fit', async () => {
    const { proxy, port } = await start();
    const shown = async (): Promise<string | undefined> => {
      const socket = await secure(port);
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return [subject.CN].flat()[0];
    };
    expect(await shown()).toBe('first');
    const kept = await secure(port);
    copyFileSync(at('second.crt'), at('server.crt'));
    await proxy.untilLogged((text) => text.includes('the one before stays'));
    expect(await shown()).toBe('first');
    copyFileSync(at('second.key'), at('server.key'));
    await vi.waitFor(async () => expect(await shown()).toBe('second'), 5_000);
    kept.write('GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n');
    expect(String((await once(kept, 'data'))[0])).toContain('200 OK');
    kept.destroy();
  });

  test('ends with the proxy, which waits for it no longer than it is at work', async () => {
    const { proxy, port } = await start();
    const idle = await secure(port);
    const silent = connectTcp(port, '127.0.0.1');
    await once(silent, 'connect');
    silent.on('error', () => undefined).resume();
    idle.resume();
    const begun = performance.now();
    proxy.signal('SIGTERM');
    expect((await proxy.exited).code).toBe(0);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  test('may tunnel, and is cut where the target is', async () => {
    const target = createServer();
    target.listen(0, '127.0.0.1');
    await once(target, 'listening');
    const { proxy, port } = await start();
    // A server on a port has an address that is an object.
    const name = `127.0.0.1:${(target.address() as AddressInfo).port}`;
    for (const end of ['end', 'resetAndDestroy', 'client'] as const) {
      const accepted = once(target, 'connection');
      const client = await secure(port);
      client.on('error', () => undefined);
      client.write(`CONNECT ${name} HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect(String((await once(client, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
      const [server] = (await accepted) as [Socket];
      server.on('error', () => undefined).resume();
      client.write('question');
      await once(server, 'data');
      server.write('answer');
      expect(String((await once(client, 'data'))[0])).toBe('answer');
      const closed = Promise.all([once(client.resume(), 'close'), once(server, 'close')]);
      if (end === 'client') client.destroy();
      else server[end]();
      if (end === 'end') client.end();
      await closed;
    }
    target.close();
    expect(proxy.running).toBe(true);
  });

  test('is cut where it does not shake hands in time', async () => {
    const { port } = await start({ CLIENT_HEADER_TIMEOUT: '1s' });
    const socket = connectTcp(port, '127.0.0.1').resume();
    const begun = performance.now();
    await once(socket, 'close');
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});

describe('a client certificate', () => {
  let port: number;
  let proxy: LocalProxy;
  beforeAll(async () => {
    ({ proxy, port } = await start({ LISTEN_TLS_CLIENT_CA_FILE: at('root.crt') }));
  });

  test('is a login by its common name', async () => {
    const url = `https://${registry.host}/v2/`;
    const flags = ['--proxy-cert', at('alice.crt'), '--proxy-key', at('alice.key'), '--cacert', proxy.caFile];
    expect(curl(port, url, ...flags)).toBe('200 200');
    const line = await proxy.untilAnswered(({ uri }) => uri === '/v2/');
    expect(line).toMatchObject({ user: 'alice' });
  });

  test('is wanted: without one a CONNECT is 407', async () => {
    const socket = await secure(port);
    socket.write(`CONNECT ${registry.host} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 407 /);
  });

  test('of another CA ends the connection', async () => {
    const socket = await secure(port, identity('eve'));
    socket.on('error', () => undefined).resume();
    socket.write(`CONNECT ${registry.host} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, 'close');
    expect(await proxy.untilLogged((text) => text.includes('client certificate not accepted'))).toBeDefined();
  });
});

describe('the settings', () => {
  test.each([
    [{ LISTEN_TLS: '127.0.0.1:0' }, 'LISTEN_TLS_CERT_FILE is not set'],
    [{ LISTEN_TLS_CLIENT_CA_FILE: '/ca.pem' }, 'LISTEN_TLS is not set'],
  ])('that lack their counterpart end the start: %j', async (more, said) => {
    const { code, stderr } = await tryToServe({ CACHE_DIR: at('none'), CA_DIR: at('ca'), ...more });
    expect([code, stderr]).toEqual([2, expect.stringContaining(said)]);
  });

  test('that name a file that cannot be used end the start', async () => {
    writeFileSync(at('junk'), 'junk');
    const files = { ...settings, LISTEN: '127.0.0.1:0', LISTEN_TLS_KEY_FILE: at('junk') };
    const { code, stderr } = await tryToServe({ CACHE_DIR: at('none'), CA_DIR: at('ca'), ...files });
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('the certificate of LISTEN_TLS cannot be used'),
    ]);
  });
});
