import { createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } from 'node:crypto';

/** RFC 8410: what comes before the 32 bytes of an X25519 key in a SubjectPublicKeyInfo. */
const X25519_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const X25519 = 0x001d;

// one key for all connections: the servers cannot tell, and the client has less to do
const { publicKey, privateKey } = generateKeyPairSync('x25519');
const SHARE = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);

/** A ClientHello for TLS 1.3 with TLS_AES_128_GCM_SHA256 and X25519 alone (RFC 8446, 4.1.2). */
export function clientHello(serverName: string): Buffer {
  const name = Buffer.from(serverName);
  const extensions = Buffer.concat([
    extension(0x0000, vector(2, Buffer.of(0), vector(2, name))),
    extension(0x002b, vector(1, Buffer.of(3, 4))),
    extension(0x000a, vector(2, u16(X25519))),
    extension(0x000d, vector(2, u16(0x0403), u16(0x0804))),
    extension(0x0010, vector(2, vector(1, Buffer.from('http/1.1')))),
    extension(0x002d, vector(1, Buffer.of(1))), // as all clients: then session tickets are sent
    extension(0x0033, vector(2, u16(X25519), vector(2, SHARE))),
  ]);
  const body = Buffer.concat([
    Buffer.of(3, 3),
    randomBytes(32),
    vector(1), // no session id: then no ChangeCipherSpec is sent
    vector(2, u16(0x1301)),
    vector(1, Buffer.of(0)),
    vector(2, extensions),
  ]);
  return Buffer.concat([Buffer.of(1), Buffer.from([0, body.length >> 8, body.length & 0xff]), body]);
}

/** The secret that a ServerHello's key share gives. */
export function sharedSecret(serverHello: Buffer): Buffer {
  if (serverHello[0] !== 2) throw new Error('no ServerHello');
  let at = 4 + 2 + 32;
  at += 1 + (serverHello[at] ?? 0) + 2 + 1;
  const end = at + 2 + serverHello.readUInt16BE(at);
  for (at += 2; at < end; at += 4 + serverHello.readUInt16BE(at + 2)) {
    if (serverHello.readUInt16BE(at) !== 0x0033) continue;
    const share = serverHello.subarray(at + 8, at + 40);
    const key = Buffer.concat([X25519_PREFIX, share]);
    return diffieHellman({
      privateKey,
      publicKey: createPublicKey({ key, format: 'der', type: 'spki' }),
    });
  }
  throw new Error('the server chose no X25519');
}

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([u16(type), vector(2, body)]);
}

function vector(lengthBytes: 1 | 2, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([lengthBytes === 1 ? Buffer.of(body.length) : u16(body.length), body]);
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}
