import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that are made as they are needed, from any offset on, and are always the same. */
export interface Content {
  readonly size: number;
  /** The bytes from `start` up to `end` (exclusive), in chunks of at most 64 KiB. */
  bytes(start?: number, end?: number): Iterable<Buffer>;
}

/** Content and the digest it is asked by. */
export interface Blob extends Content {
  readonly digest: string;
}

const CHUNK = 64 * 1024;
/** AES-CTR is a generator that can start at any block: fast, incompressible, and the seed is the key. */
const BLOCK = 16;

/** `size` pseudo-random bytes that only the seed decides; none of them is held in memory. */
export function randomContent(seed: string, size: number): Content {
  const key = createHash('md5').update(seed).digest();
  return {
    size,
    *bytes(start = 0, end = size) {
      const counter = Buffer.alloc(BLOCK);
      counter.writeBigUInt64BE(BigInt(Math.floor(start / BLOCK)), 8);
      const cipher = createCipheriv('aes-128-ctr', key, counter);
      cipher.update(Buffer.alloc(start % BLOCK));
      for (let at = start; at < end; at += CHUNK)
        yield cipher.update(Buffer.alloc(Math.min(CHUNK, end - at)));
    },
  };
}

export function bufferContent(buffer: Buffer): Content {
  return {
    size: buffer.length,
    *bytes(start = 0, end = buffer.length) {
      for (let at = start; at < end; at += CHUNK) yield buffer.subarray(at, Math.min(at + CHUNK, end));
    },
  };
}

export function textContent(text: string): Content {
  return bufferContent(Buffer.from(text));
}

/** Content with its digest, which is computed here. */
export function blobOf(content: Content, algorithm: 'sha256' | 'sha512' = 'sha256'): Blob {
  return { ...content, digest: `${algorithm}:${hexOf(content, 0, content.size, algorithm)}` };
}

export function randomBlob(seed: string, size: number): Blob {
  return blobOf(randomContent(seed, size));
}

/** The SHA-256 of a stretch of content, in hex: what a client that asked for that range must have. */
export function sha256Of(content: Content, start = 0, end: number = content.size): string {
  return hexOf(content, start, end, 'sha256');
}

export function toBuffer(content: Content, start = 0, end: number = content.size): Buffer {
  return Buffer.concat([...content.bytes(start, end)]);
}

function hexOf(content: Content, start: number, end: number, algorithm: string): string {
  const hash = createHash(algorithm);
  for (const chunk of content.bytes(start, end)) hash.update(chunk);
  return hash.digest('hex');
}
