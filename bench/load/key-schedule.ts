import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto';

/** The key schedule of TLS 1.3 for TLS_AES_128_GCM_SHA256 (RFC 8446, 7.1), and its records (5.2). */
export interface TrafficKeys {
  readonly key: Buffer;
  readonly iv: Buffer;
}

export interface HandshakeKeys {
  readonly server: TrafficKeys;
  readonly client: TrafficKeys;
  /** Key of the client's Finished message. */
  readonly finished: Buffer;
  readonly master: Buffer;
}

const HASH_LENGTH = 32;
const TAG_LENGTH = 16;
const EMPTY = Buffer.alloc(0);
const ZEROS = Buffer.alloc(HASH_LENGTH);
const EMPTY_HASH = sha256(EMPTY);
const EARLY_DERIVED = expandLabel(hmac(ZEROS, ZEROS), 'derived', EMPTY_HASH, HASH_LENGTH);

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export function hmac(key: Uint8Array, data: Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** @param transcript hash of ClientHello and ServerHello. */
export function handshakeKeys(shared: Buffer, transcript: Buffer): HandshakeKeys {
  const secret = hmac(EARLY_DERIVED, shared);
  const client = expandLabel(secret, 'c hs traffic', transcript, HASH_LENGTH);
  const server = expandLabel(secret, 's hs traffic', transcript, HASH_LENGTH);
  return {
    server: trafficKeys(server),
    client: trafficKeys(client),
    finished: expandLabel(client, 'finished', EMPTY, HASH_LENGTH),
    master: hmac(expandLabel(secret, 'derived', EMPTY_HASH, HASH_LENGTH), ZEROS),
  };
}

/** @param transcript hash of all up to the server's Finished. */
export function applicationKeys(
  master: Buffer,
  transcript: Buffer,
): { readonly server: TrafficKeys; readonly client: TrafficKeys } {
  return {
    server: trafficKeys(expandLabel(master, 's ap traffic', transcript, HASH_LENGTH)),
    client: trafficKeys(expandLabel(master, 'c ap traffic', transcript, HASH_LENGTH)),
  };
}

/** One record that holds `plain` as content of `type`. */
export function seal(keys: TrafficKeys, sequence: number, type: number, plain: Uint8Array): Buffer {
  const header = recordHeader(23, plain.length + 1 + TAG_LENGTH);
  const cipher = createCipheriv('aes-128-gcm', keys.key, nonce(keys.iv, sequence));
  cipher.setAAD(header);
  const body = cipher.update(Buffer.concat([plain, Buffer.of(type)]));
  return Buffer.concat([header, body, cipher.final(), cipher.getAuthTag()]);
}

/** Content and type of a record; throws where its tag is wrong. */
export function unseal(
  keys: TrafficKeys,
  sequence: number,
  header: Buffer,
  sealed: Buffer,
): { readonly type: number; readonly plain: Buffer } {
  const decipher = createDecipheriv('aes-128-gcm', keys.key, nonce(keys.iv, sequence));
  decipher.setAAD(header);
  decipher.setAuthTag(sealed.subarray(-TAG_LENGTH));
  const plain = decipher.update(sealed.subarray(0, -TAG_LENGTH));
  decipher.final();
  return { type: plain.at(-1) ?? 0, plain: plain.subarray(0, -1) };
}

export function recordHeader(type: number, length: number): Buffer {
  return Buffer.of(type, 3, 3, length >> 8, length & 0xff);
}

function trafficKeys(secret: Buffer): TrafficKeys {
  return { key: expandLabel(secret, 'key', EMPTY, 16), iv: expandLabel(secret, 'iv', EMPTY, 12) };
}

function expandLabel(secret: Buffer, label: string, context: Buffer, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = [Buffer.of(0, length, name.length), name, Buffer.of(context.length), context, Buffer.of(1)];
  return hmac(secret, Buffer.concat(info)).subarray(0, length); // one block is enough for every length here
}

function nonce(iv: Buffer, sequence: number): Buffer {
  const made = Buffer.from(iv);
  made.writeUInt32BE((made.readUInt32BE(8) ^ sequence) >>> 0, 8);
  return made;
}
