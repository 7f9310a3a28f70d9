import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy, type Settings } from './support/local-proxy.ts';
import { askPlain, openTunnel, sendRaw } from './support/wire.ts';
import { randomBlob } from './upstream/content.ts';
import { blobPath, expectError, expectWhole } from './upstream/paths.ts';
import { redirectTo } from './upstream/reply.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startScriptedServer, type ScriptedServer } from './upstream/scripted-server.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { createTokenService } from './upstream/token-service.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** What must not be reached: it counts who comes. */
let inside: Server;
let insidePort: number;
let reached = 0;
const proxies: LocalProxy[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  inside = createServer((socket) => {
    reached += 1;
    socket.on('error', () => undefined).destroy();
  });
  inside.listen(0, '::');
  await once(inside, 'listening');
  // A server on a port has an address that is an object.
  insidePort = (inside.address() as AddressInfo).port;
});

afterEach(() => {
  if (reached > 0) throw new Error('what is inside was reached');
});

afterAll(async () => {
  for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
  inside.close();
  await folder?.[Symbol.asyncDispose]();
});

async function start(settings: Settings = {}): Promise<LocalProxy> {
  const proxy = await startLocalProxy(folder.path, {
    CACHE_DIR: `${folder.path}/cache-${proxies.length}`,
    ALLOW_LOCAL_ADDRESSES: '',
    PROXY_CONNECT_CONNECT_TIMEOUT: '2s',
    ...settings,
  });
  proxies.push(proxy);
  return proxy;
}

async function refusal(
  proxy: LocalProxy,
  target: string,
): Promise<{ status: number; reason: string; message: string }> {
  const raw = await sendRaw(proxy, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  const [error] = JSON.parse(raw.slice(raw.indexOf('\r\n\r\n'))).errors;
  return { status: Number(raw.slice(9, 12)), reason: error.detail.reason, message: error.message };
}

describe('a tunnel leads to no address that is inside', () => {
  let proxy: LocalProxy;
  beforeAll(async () => {
    proxy = await start();
  });

  test.each([
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[0:0:0:0:0:ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    '[2002:7f00:1::]',
    // as names: the system's resolver takes these spellings for addresses
    'localhost',
    'localhost.',
    '127.1',
    '0',
    '0177.0.0.1',
    '0x7f000001',
    '2130706433',
    '169.254.169.254',
    '[::ffff:169.254.169.254]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '100.100.100.200',
    '224.0.0.1',
    '255.255.255.255',
  ])('%s', async (host) => {
    const { status, reason } = await refusal(proxy, `${host}:${insidePort}`);
    expect([status, reason]).toEqual([403, 'TUNNEL_REFUSED']);
  });

  test('nor does a request for an http:// URL', async () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]', '0x7f.1', '2130706433', '[::ffff:7f00:1]']) {
      const { status, body } = await askPlain(proxy, `http://${host}:${insidePort}/latest/meta-data/`);
      expect([host, status]).toEqual([host, 502]);
      expect(body.toString()).toContain('UPSTREAM_ADDRESS');
    }
    expect((await askPlain(proxy, 'http://169.254.169.254/')).status).toBe(502);
  });

  test('the access log tells', async () => {
    await refusal(proxy, '169.254.169.254:80');
    const line = await proxy.untilAnswered(({ uri }) => uri === '169.254.169.254:80');
    expect(line).toMatchObject({
      method: 'CONNECT',
      status: '403',
      error: 'TUNNEL_REFUSED',
      client: '127.0.0.1',
    });
  });
});

describe('TUNNEL_ALLOW and TUNNEL_DENY', () => {
  test('without them the ports of the system are closed, but for 80 and 443', async () => {
    const proxy = await start();
    for (const port of [22, 25, 79, 1023]) {
      const { reason, message } = await refusal(proxy, `192.0.2.1:${port}`);
      expect([reason, message]).toEqual(['TUNNEL_REFUSED', expect.stringContaining('TUNNEL_ALLOW')]);
    }
    // it is no name here, which only who wants to tunnel finds out
    for (const port of [80, 443, 1024, 5000, 8443])
      expect((await refusal(proxy, `nowhere.invalid:${port}`)).reason).toBe('TUNNEL_FAILED');
  });

  test('decide by name, by address and by port', async () => {
    const proxy = await start({
      TUNNEL_ALLOW: '*.invalid:443 localhost:1024-65535 127.0.0.0/8:443',
      TUNNEL_DENY: 'bad.invalid 127.0.0.9',
      ALLOW_LOCAL_ADDRESSES: '127.0.0.0/8 ::1',
    });
    const reasons = async (...targets: string[]): Promise<string[]> =>
      (await Promise.all(targets.map((target) => refusal(proxy, target)))).map(({ reason }) => reason);
    expect(await reasons('good.invalid:443', 'localhost:1024', '127.0.0.1:443')).toEqual(
      Array.from({ length: 3 }, () => 'TUNNEL_FAILED'),
    );
    expect(
      await reasons(
        'bad.invalid:443',
        'BAD.invalid.:443',
        'good.invalid:80',
        '127.0.0.9:443',
        '127.0.0.1:1025',
        '192.0.2.1:443',
      ),
    ).toEqual(Array.from({ length: 6 }, () => 'TUNNEL_REFUSED'));
    // a name that is listed nowhere leads where a network of the list says, and only there
    expect(await reasons('127.1:443')).toEqual(['TUNNEL_FAILED']);
    expect((await askPlain(proxy, 'http://good.invalid/')).status).toBe(403);
  });

  test('TUNNEL_DENY=* leaves the registries alone', async () => {
    const proxy = await start({ TUNNEL_DENY: '*' });
    expect((await refusal(proxy, 'example.com:443')).reason).toBe('TUNNEL_REFUSED');
    const { socket, status } = await openTunnel(proxy, 'ghcr.io:443');
    socket.destroy();
    expect(status).toBe(200);
  });
});

describe('what a registry names leads to no address that is inside', () => {
  let stage: Stage;
  let registry: ScriptedRegistry;
  let other: ScriptedServer;
  beforeAll(async () => {
    other = await startScriptedServer({});
    stage = await startStage({ env: { ALLOW_LOCAL_ADDRESSES: '' } });
    ({ registry } = stage);
  });
  afterEach(() => registry.reset());
  afterAll(async () => {
    await stage?.close();
    await other?.close();
  });

  test('a registry that is listed may be there itself', async () => {
    const blob = randomBlob('listed', 1000);
    registry.put({ repository: 'listed', blobs: [blob] });
    expectWhole(await stage.client.get(blobPath('listed', blob)), blob);
  });

  test.each(['localhost', '127.0.0.1', '[::1]', '0x7f.1', '[::ffff:127.0.0.1]', '2130706433'])(
    'a redirect to %s is refused',
    async (host) => {
      const blob = randomBlob(host, 1000);
      registry.put({ repository: 'redirects', blobs: [blob] });
      other.serve('/blob', blob);
      registry.on({ path: blobPath('redirects', blob) }, redirectTo(`http://${host}:${other.port}/blob`));
      const pulled = await stage.client.get(blobPath('redirects', blob));
      expectError(pulled, 502, 'UPSTREAM_ADDRESS');
      expect(pulled.body.toString()).toContain('ALLOW_LOCAL_ADDRESSES');
      expect(other.requests.count()).toBe(0);
    },
  );

  test('a token service there is not asked', async () => {
    const blob = randomBlob('tokens', 1000);
    registry.put({ repository: 'tokens', blobs: [blob] });
    const tokens = createTokenService(other);
    registry.protect(tokens.guard);
    expectError(await stage.client.get(blobPath('tokens', blob)), 502, 'UPSTREAM_ADDRESS');
    expect(other.requests.count()).toBe(0);
  });

  test('an address of TUNNEL_DENY is refused to redirects too', async () => {
    await using own = await startStage({
      env: { ALLOW_LOCAL_ADDRESSES: '127.0.0.0/8', TUNNEL_DENY: '127.0.0.0/8' },
    });
    const blob = randomBlob('denied', 1000);
    own.registry.put({ repository: 'denied', blobs: [blob] });
    own.registry.on({ path: blobPath('denied', blob) }, redirectTo(`http://localhost:${other.port}/blob`));
    expectError(await own.client.get(blobPath('denied', blob)), 502, 'UPSTREAM_ADDRESS');
  });
});
