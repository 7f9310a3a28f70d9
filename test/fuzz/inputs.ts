import type { Random } from './random.ts';

/** Bytes that are sent on one connection, and how. */
export interface Input {
  /** Where they go: to the port itself, to the raw bytes behind a CONNECT, or into its TLS. */
  readonly way: 'port' | 'tunnel' | 'tls';
  readonly bytes: Buffer;
  /** Pieces that are sent apart from each other. */
  readonly pieces: number;
  /** What the client does when all is sent. */
  readonly end: 'wait' | 'end' | 'reset';
}

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PRI',
  'get',
  '',
];
const VERSIONS = ['HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'http/1.1', 'HTTP/1', ''];
const DIGEST = `sha256:${'0'.repeat(64)}`;
const PATHS = [
  '/',
  '/ca.crt',
  '/setup/systemd',
  '/v1/',
  '/v2/',
  '/v2/_catalog',
  '/v2/team/app/manifests/1',
  `/v2/team/app/manifests/${DIGEST}`,
  `/v2/team/app/blobs/${DIGEST}`,
  '/v2/team/app/tags/list?n=1',
  `/v2/team/app/referrers/${DIGEST}`,
  '/v2/team/app/blobs/uploads/',
  `/v2/team/app/blobs/uploads/?mount=${DIGEST}&from=team/other`,
  '/token?service=x&scope=repository:team/app:pull',
  '*',
  '//',
  '/%',
  '/../..',
];
const HEADERS = [
  'Accept: application/vnd.oci.image.index.v1+json',
  'Authorization: Basic YTpi',
  'Authorization: Bearer',
  'Connection: close',
  'Connection: keep-alive, Host',
  'Connection: Upgrade',
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Range: 0-4',
  'Content-Type: application/vnd.oci.image.manifest.v1+json',
  'Expect: 100-continue',
  'Expect: x',
  'If-None-Match: "x", *',
  'If-Range: W/"x"',
  'Proxy-Authorization: Basic =',
  'Range: bytes=0-0,5-,-1',
  'Range: bytes=9-1',
  'TE: trailers',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Upgrade: h2c',
  'X: ',
];
const BODIES = [
  '',
  'abcde',
  '5\r\nabcde\r\n0\r\n\r\n',
  '5\r\nabcd',
  'ffffffffffffffff\r\n',
  '0\r\nA: b\r\n\r\n',
  '1\nx\n0\n\n',
];
/** What breaks parsers, put in anywhere. */
const JUNK = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  '\x7f',
  '\xff',
  '%00',
  '../',
  '@',
  '[',
  ']',
  '#',
  '?',
  '//',
  'é',
  '-',
  '0',
];

/** A TLS record of a ClientHello, as sound clients send it (RFC 8446 section 4.1.2). */
function clientHello(random: Random): Buffer {
  const extensions = Buffer.from('002b0003020304000a00040002001d000d000400020403', 'hex');
  const body = Buffer.concat([
    Buffer.from('0303', 'hex'),
    random.bytes(32),
    Buffer.from('00000413011302010000', 'hex').subarray(0, 9),
    Buffer.from([extensions.length >> 8, extensions.length & 255]),
    extensions,
  ]);
  const handshake = Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body]);
  return Buffer.concat([Buffer.from([0x16, 3, 1, handshake.length >> 8, handshake.length & 255]), handshake]);
}

function request(random: Random, way: Input['way'], host: string): string {
  const connect = way === 'port' && random.chance(0.3);
  const path = random.pick(PATHS);
  const target = connect
    ? random.pick([host, host, '127.0.0.1:1', 'a', ':443', '[::1]:443', 'x:99999', `u:p@${host}`])
    : way === 'port' && random.chance(0.5)
      ? `${random.pick(['http://', 'http://', 'https://', 'ftp://', 'http:'])}${host}${path}`
      : path;
  const lines = Array.from({ length: random.below(4) }, () => random.pick(HEADERS));
  if (random.chance(0.95))
    lines.unshift(`Host: ${random.chance(0.95) ? host : random.pick(['', 'x', 'a b', ':'])}`);
  if (random.chance(0.01)) lines.push('Content-Length: 18446744073709551616');
  if (random.chance(0.01)) lines.push(`Large: ${'l'.repeat(random.below(300_000))}`);
  if (random.chance(0.01)) lines.push(...Array.from({ length: random.below(3_000) }, (_, at) => `N${at}: n`));
  const method = connect ? 'CONNECT' : random.chance(0.6) ? 'GET' : random.pick(METHODS);
  const version = random.chance(0.93) ? 'HTTP/1.1' : random.pick(VERSIONS);
  return `${method} ${target} ${version}\r\n${lines.join('\r\n')}\r\n\r\n${body(random, lines)}`;
}

/** Mostly the one that the headers announce. */
function body(random: Random, lines: readonly string[]): string {
  if (random.chance(0.15)) return random.pick(BODIES);
  if (lines.includes('Transfer-Encoding: chunked')) return '5\r\nabcde\r\n0\r\n\r\n';
  return lines.includes('Content-Length: 5') ? 'abcde' : '';
}

/** Some bytes of it are lost, doubled, changed or added. */
function mutated(random: Random, bytes: Buffer): Buffer {
  let result = bytes;
  for (let count = random.chance(0.4) ? 0 : random.below(4); count > 0; count -= 1) {
    const at = random.below(result.length + 1);
    const [before, after] = [result.subarray(0, at), result.subarray(at)];
    const length = random.below(8);
    switch (random.below(6)) {
      case 0:
        result = Buffer.concat([before, Buffer.from(random.pick(JUNK), 'latin1'), after]);
        break;
      case 1:
        result = Buffer.concat([before, after.subarray(length)]);
        break;
      case 2:
        result = Buffer.concat([before, after.subarray(0, length), after]);
        break;
      case 3:
        result = Buffer.concat([before, random.bytes(length), after.subarray(length)]);
        break;
      case 4:
        result = before;
        break;
      default:
        result = Buffer.concat([result, result.subarray(at)]);
    }
  }
  return result;
}

function bytesOf(random: Random, way: Input['way'], host: string): Buffer {
  if (random.chance(0.08)) return random.bytes(random.below(600));
  if (way === 'tunnel' || random.chance(0.03)) {
    const hello = clientHello(random);
    return mutated(random, random.chance(0.5) ? hello : hello.subarray(0, random.below(hello.length)));
  }
  const count = random.chance(0.15) ? 1 + random.below(4) : 1;
  const requests = Array.from({ length: count }, () =>
    mutated(random, Buffer.from(request(random, way, host), 'latin1')),
  );
  return Buffer.concat(requests);
}

/** @param host the registry, which is intercepted. */
export function makeInput(random: Random, host: string): Input {
  const way = random.pick(['port', 'port', 'port', 'port', 'tunnel', 'tls'] as const);
  return {
    way,
    bytes: bytesOf(random, way, host),
    pieces: random.chance(0.1) ? 1 + random.below(5) : 1,
    end: random.pick(['wait', 'wait', 'wait', 'end', 'end', 'reset'] as const),
  };
}
