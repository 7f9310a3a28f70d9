import { isIP, isIPv4, isIPv6 } from 'node:net';

/** What a balancer says of a connection. */
interface ProxyHeader {
  /** The client's address; undefined where the connection is the balancer's own, or of no IP. */
  readonly address: string | undefined;
  /** How many bytes it takes. */
  readonly length: number;
}

/** The header; `more` where it is not whole yet, `invalid` where the bytes are none. */
export type ParsedHeader = ProxyHeader | 'more' | 'invalid';

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_FIXED = 16;
/** Beyond the addresses a header may carry more fields; this is well above what balancers send. */
const V2_MOST = 2048;
/** With its line end (specification, 2.1). */
const V1_MOST = 107;

/** Parses the beginning of a connection; https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, versions 1 and 2. */
export function parseProxyHeader(bytes: Buffer): ParsedHeader {
  const start = bytes.subarray(0, V2_SIGNATURE.length);
  if (start.equals(V2_SIGNATURE.subarray(0, start.length))) {
    return bytes.length < V2_FIXED ? 'more' : parseV2(bytes);
  }
  return parseV1(bytes);
}

function parseV1(bytes: Buffer): ParsedHeader {
  const prefix = Buffer.from('PROXY ').subarray(0, bytes.length);
  if (!bytes.subarray(0, 6).equals(prefix)) return 'invalid';
  const end = bytes.subarray(0, V1_MOST).indexOf('\r\n');
  if (end === -1) return bytes.length >= V1_MOST ? 'invalid' : 'more';
  const length = end + 2;
  const [, family, source = '', destination = '', ...ports] = bytes.toString('latin1', 0, end).split(' ');
  if (family === 'UNKNOWN') return { address: undefined, length };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false;
  const isGood =
    ports.length === 2 &&
    ports.every(isPort) &&
    isAddress(source) &&
    isAddress(destination) &&
    !source.includes('%');
  return isGood ? { address: source, length } : 'invalid';
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function parseV2(bytes: Buffer): ParsedHeader {
  const [versionAndCommand = 0, familyAndProtocol = 0] = bytes.subarray(12);
  const size = bytes.readUInt16BE(14);
  const command = versionAndCommand & 0x0f;
  if (versionAndCommand >> 4 !== 2 || command > 1 || size > V2_MOST) return 'invalid';
  const length = V2_FIXED + size;
  if (bytes.length < length) return 'more';
  // LOCAL: the balancer's own, such as a health check
  if (command === 0) return { address: undefined, length };
  const rest = bytes.subarray(V2_FIXED, length);
  switch (familyAndProtocol) {
    case 0x11:
      return size < 12 ? 'invalid' : { address: [...rest.subarray(0, 4)].join('.'), length };
    case 0x21:
      return size < 36 ? 'invalid' : { address: textOfV6(rest.subarray(0, 16)), length };
    default:
      // a UNIX socket or an unknown family: the specification has the real connection's address used
      return { address: undefined, length };
  }
}

function textOfV6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16));
  const text = groups.join(':');
  return isIP(text) === 6 ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text;
}
