import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { startLocalProxy, type LocalProxy } from './support/local-proxy.ts';
import { dial, openSecure } from './support/wire.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: ScriptedRegistry;
let proxy: LocalProxy;

beforeAll(async () => {
  folder = await temporaryFolder();
  registry = await startScriptedRegistry();
  proxy = await startLocalProxy(folder.path, {
    REGISTRIES: `http://${registry.host}`,
    ALLOW_PUSH: 'true',
    PROXY_REQUEST_BUFFERING: 'false',
  });
});

afterEach(() => registry.reset());

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await registry?.close();
  await folder?.[Symbol.asyncDispose]();
});

const CHUNKED = 'Transfer-Encoding: chunked';
const UPLOADS = '/v2/team/app/blobs/uploads/';
const post = (head: string, body = ''): string =>
  `POST ${UPLOADS} HTTP/1.1\r\nHost: HOST\r\n${head}\r\n\r\n${body}`;
const get = (head: string): string => `GET /v2/ HTTP/1.1\r\nHost: HOST\r\n${head}\r\n\r\n`;
/** What a request that ends early would have the registry take for one of its own. */
const HIDDEN = 'GET /v2/hidden/tags/list HTTP/1.1\r\nHost: HOST\r\n\r\n';

const REFUSED: readonly (readonly [string, string])[] = [
  ['Content-Length and Transfer-Encoding', post(`Content-Length: 5\r\n${CHUNKED}`, '0\r\n\r\n')],
  ['Transfer-Encoding and Content-Length', post(`${CHUNKED}\r\nContent-Length: 5`, '0\r\n\r\n')],
  ['two lengths', post('Content-Length: 0\r\nContent-Length: 5', 'abcde')],
  ['the same length twice', post('Content-Length: 0\r\nContent-Length: 0')],
  ['a list of lengths', post('Content-Length: 0, 0')],
  ['a length with a sign', post('Content-Length: +0')],
  ['a length below zero', post('Content-Length: -1')],
  ['a length of nothing', post('Content-Length: ')],
  ['a length that no number holds', post('Content-Length: 1152921504606846977', 'x')],
  ['a length beyond 64 bits', post('Content-Length: 99999999999999999999999')],
  ['another coding', post('Transfer-Encoding: gzip')],
  ['a coding before chunked', post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n')],
  ['a coding before chunked, apart', post(`Transfer-Encoding: gzip\r\n${CHUNKED}`, '0\r\n\r\n')],
  ['a coding after chunked', post('Transfer-Encoding: chunked, identity', '0\r\n\r\n')],
  ['chunked twice', post(`${CHUNKED}\r\n${CHUNKED}`, '0\r\n\r\n')],
  ['nearly chunked', post('Transfer-Encoding: xchunked', '0\r\n\r\n')],
  ['no coding', post('Transfer-Encoding: ')],
  ['a coding in HTTP/1.0', post(CHUNKED, '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0')],
  ['lines that end with LF', 'GET /v2/ HTTP/1.1\nHost: HOST\n\n'],
  ['one line that ends with LF', get('A: b\nC: d')],
  ['a head that ends with LF', 'GET /v2/ HTTP/1.1\r\nHost: HOST\r\n\n'],
  ['a folded line', get('A: b\r\n c')],
  ['a folded line with a tab', get('A: b\r\n\tc')],
  ['a folded length', post('Content-Length:\r\n 5', 'abcde')],
  ['a folded first line', 'GET /v2/ HTTP/1.1\r\n Host: HOST\r\n\r\n'],
  ['NUL in a value', get('A: b\0c')],
  ['a control character in a value', get('A: b\x01c')],
  ['DEL in a value', get('A: b\x7fc')],
  ['CR alone in a value', get('A: b\rc')],
  ['NUL in the target', 'GET /v2/\0 HTTP/1.1\r\nHost: HOST\r\n\r\n'],
  ['a space before the colon', get('A : b')],
  ['a space before the colon of the length', post('Content-Length : 5', 'abcde')],
  ['a name with a space', get('A b: c')],
  ['no name', get(': b')],
  ['no colon', get('A')],
  ['no Host', 'GET /v2/ HTTP/1.1\r\n\r\n'],
  ['two Hosts', get('Host: other.example')],
  ['a Host that is none', 'GET /v2/ HTTP/1.1\r\nHost: a/b@c\r\n\r\n'],
  ['HTTP/0.9', 'GET /v2/\r\n\r\n'],
  ['HTTP/1.2', get('A: b').replace('HTTP/1.1', 'HTTP/1.2')],
  ['HTTP/2.0', get('A: b').replace('HTTP/1.1', 'HTTP/2.0')],
  ['a chunk whose size ends with LF', post(CHUNKED, '1\nX\r\n0\r\n\r\n')],
  ['a chunk that ends with LF', post(CHUNKED, '1\r\nX\n0\r\n\r\n')],
  ['a chunk of more than its size', post(CHUNKED, '1\r\nXY\r\n0\r\n\r\n')],
  ['a size of a chunk with 0x', post(CHUNKED, '0x1\r\nX\r\n0\r\n\r\n')],
  ['a size of a chunk that is too large', post(CHUNKED, `${'f'.repeat(17)}\r\nX\r\n0\r\n\r\n`)],
  ['a control character beside a size', post(CHUNKED, '1;a\nb\r\nX\r\n0\r\n\r\n')],
  ['a length among the trailers', post(CHUNKED, '1\r\nX\r\n0\r\nContent-Length: 3\r\n\r\n')],
];

/** All that comes back until the proxy ends the connection, which it must. */
async function answerTo(text: string, secure: boolean): Promise<string> {
  const socket = secure ? await openSecure(proxy, registry.host) : await dial(proxy);
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  const ended = new Promise<void>((resolve) => {
    socket
      .once('end', resolve)
      .once('close', resolve)
      .once('error', () => resolve());
  });
  socket.write(Buffer.from(text.replaceAll('HOST', registry.host), 'latin1'));
  await ended;
  socket.destroy();
  return Buffer.concat(received).toString('latin1');
}

function expectRefusal(answer: string): void {
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer.split('HTTP/1.1 ')).toHaveLength(2);
  const paths = registry.requests.find().map(({ path }) => path);
  expect(paths.filter((path) => path !== '/v2/' && path !== UPLOADS)).toEqual([]);
}

describe('a request that two servers may read differently is refused and its connection closed', () => {
  test.each(REFUSED)('%s', async (_name, text) => {
    expectRefusal(await answerTo(text + HIDDEN, true));
    const absolute = text.replace(/^(GET|POST) \//, '$1 http://HOST/');
    expectRefusal(await answerTo(absolute + HIDDEN, false));
  });

  test.each([
    ['another Host', 'GET http://HOST/v2/ HTTP/1.1\r\nHost: other.example\r\n\r\n'],
    ['another port', 'GET http://localhost:1/v2/ HTTP/1.1\r\nHost: localhost:2\r\n\r\n'],
    ['no Host', 'GET http://HOST/v2/ HTTP/1.1\r\n\r\n'],
    ['a password', 'GET http://user:password@HOST/v2/ HTTP/1.1\r\nHost: HOST\r\n\r\n'],
    ['a body for CONNECT', 'CONNECT HOST HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nabcde'],
    ['a coding for CONNECT', `CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n${CHUNKED}\r\n\r\n0\r\n\r\n`],
    ['no path', 'OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n'],
  ])('to the proxy: %s', async (_name, text) => {
    expectRefusal(await answerTo(text + HIDDEN, false));
  });

  test.each(['http://HOST/v2/', 'http://other.example/v2/', '*'])(
    'inside a tunnel, whose host is known: %s',
    async (target) => {
      expectRefusal(await answerTo(`GET ${target} HTTP/1.1\r\nHost: HOST\r\n\r\n${HIDDEN}`, true));
    },
  );

  test('one that names its default port is not', async () => {
    const text =
      'GET http://Other.Example:80/v2/ HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n';
    // it leads nowhere, but it was asked for
    expect(await answerTo(text, false)).not.toMatch(/^HTTP\/1\.1 400 /);
  });

  test('a CONNECT behind a request that is not answered yet is cut', async () => {
    const held = registry.hold({ path: '/v2/slow/tags/list' }, 'headers');
    const slow = 'GET http://HOST/v2/slow/tags/list HTTP/1.1\r\nHost: HOST\r\n\r\n';
    expect(await answerTo(`${slow}CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n`, false)).toBe('');
    held.release();
  });

  test('too many lines of headers are 431', async () => {
    const lines = Array.from({ length: 1_100 }, (_, at) => `A${at}: b`).join('\r\n');
    expect(await answerTo(get(lines), true)).toMatch(/^HTTP\/1\.1 431 /);
  });
});
