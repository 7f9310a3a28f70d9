import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy, type Settings } from './support/local-proxy.ts';
import { sendRaw } from './support/wire.ts';
import { createPullClient, type Pulled } from './upstream/pull-client.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startProxy } from './upstream/start-proxy.ts';
import { testTls } from './upstream/test-tls.ts';

/** What a proxy was asked. */
interface Asked {
  readonly target: string;
  readonly login: string | undefined;
}

type OnConnect = (request: IncomingMessage, socket: Duplex) => void;

let asked: Asked[];
let between: Server;
let registry: ScriptedRegistry;

beforeEach(async () => {
  asked = [];
  registry = await startScriptedRegistry({ tls: true });
});

afterEach(async () => {
  between.close();
  await registry.close();
});

/** A proxy for CONNECT; gives its port. */
async function start(tls: boolean, onConnect: OnConnect = pass): Promise<number> {
  between = tls ? createHttpsServer(await testTls()) : createHttpServer();
  between.on('connect', (request: IncomingMessage, socket: Duplex) => {
    asked.push({ target: request.url ?? '', login: request.headers['proxy-authorization'] });
    socket.on('error', () => socket.destroy());
    onConnect(request, socket);
  });
  between.listen(0, '127.0.0.1');
  await once(between, 'listening');
  // a server on a port has an address that is an object
  return (between.address() as AddressInfo).port;
}

/** Leads to the registry, whatever was asked for. */
function pass(_request: IncomingMessage, socket: Duplex): void {
  const upstream = connect(registry.port, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    upstream.pipe(socket).pipe(upstream);
  });
  upstream.on('error', () => socket.destroy());
}

/** Asks for what is never cached, through a proxy that a rule names. */
async function list(address: string): Promise<Pulled> {
  await using proxy = await startProxy({
    registries: [registry],
    env: {
      CONNECTION_RULES: JSON.stringify([{ host: registry.host, proxy: address }]),
      PROXY_CONNECT_TIMEOUT: '1s',
    },
  });
  using client = createPullClient(proxy, registry.host);
  const pulled = await client.get('/v2/team/app/tags/list');
  expect(proxy.stderr + JSON.stringify(proxy.lines)).not.toContain('p@ss');
  return pulled;
}

describe('a proxy on the way', () => {
  test('over TLS, with a login that needs codes', async () => {
    registry.on({}, { status: 200 });
    const port = await start(true);
    expect((await list(`https://build:p%40ss%3A@localhost:${port}`)).status).toBe(200);
    const login = `Basic ${Buffer.from('build:p@ss:').toString('base64')}`;
    expect(asked).toEqual([{ target: registry.host, login }]);
  });

  test.each<[string, OnConnect, string]>([
    ['is silent', () => undefined, 'did not connect with'],
    ['breaks off', (_request, socket) => void socket.destroy(), 'broke off'],
    ['wants a login', (_request, socket) => void socket.end('HTTP/1.1 407 No\r\n\r\n'), 'It wants a login'],
    [
      'does not get through',
      (_request, socket) => void socket.end('HTTP/1.1 504 No\r\n\r\n'),
      'answered 504',
    ],
    ['speaks no HTTP', (_request, socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n'), 'broke off'],
  ])('that %s is named', async (_, onConnect, said) => {
    const pulled = await list(`http://localhost:${await start(false, onConnect)}`);
    expect([pulled.status, pulled.body.toString()]).toEqual([502, expect.stringContaining('UPSTREAM_PROXY')]);
    expect(pulled.body.toString()).toContain(said);
  });
});

describe('where clients must not be led', () => {
  async function refused(settings: Settings, ...targets: readonly string[]): Promise<string[]> {
    await using folder = await temporaryFolder();
    const port = await start(false, (_request, socket) => void socket.end('HTTP/1.1 503 No\r\n\r\n'));
    await using proxy: LocalProxy = await startLocalProxy(folder.path, {
      HTTPS_PROXY: `http://127.0.0.1:${port}`,
      ALLOW_LOCAL_ADDRESSES: '',
      ...settings,
    });
    const answers = [];
    for (const target of targets) {
      const raw = await sendRaw(proxy, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
      answers.push(String(JSON.parse(raw.slice(raw.indexOf('\r\n\r\n'))).errors[0].detail.reason));
    }
    return answers;
  }

  test('no proxy is asked for addresses, nor for names that lead to them', async () => {
    const targets = ['169.254.169.254:443', '[fe80::1]:443', '0x7f.1:443', 'localhost:8443'];
    expect(await refused({}, ...targets)).toEqual(targets.map(() => 'TUNNEL_REFUSED'));
    expect(asked).toEqual([]);
  });

  test('a name that only the proxy knows is left to it, unless its address has to decide', async () => {
    expect(await refused({}, 'nowhere.invalid:443')).toEqual(['TUNNEL_FAILED']);
    expect(asked.map(({ target }) => target)).toEqual(['nowhere.invalid:443']);
    between.close();
    asked = [];
    expect(await refused({ TUNNEL_ALLOW: '192.0.2.0/24' }, 'nowhere.invalid:443')).toEqual([
      'TUNNEL_REFUSED',
    ]);
    expect(asked).toEqual([]);
  });
});
