import { createCipheriv, createHash } from 'node:crypto';
import { digestOf, type Digest, type DigestAlgorithm } from '../registry/digest.ts';
import type { ByteSource, PartialObject, Store, StoredObject } from './store.ts';

/** Bytes and the digest they have. */
export interface Content {
  readonly bytes: Buffer;
  readonly digest: Digest;
}

/** Bytes of which no two stretches are alike; only the seed decides them. */
export function content(seed: string, size: number, algorithm: DigestAlgorithm = 'sha256'): Content {
  const key = createHash('md5').update(seed).digest();
  const bytes = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
  return { bytes, digest: digestOf(bytes, algorithm) };
}

/** Stores an object as a fill does. */
export async function storeContent(
  store: Store,
  { bytes, digest }: Content,
  mediaType?: string,
): Promise<StoredObject> {
  const partial = await store.begin(digest);
  await partial.reserve(bytes.length);
  await partial.append(bytes);
  return endWith(partial, () => partial.publish(mediaType));
}

/** Ends a partial object and lets go of it. */
export async function endWith<T>(partial: PartialObject, end: () => Promise<T>): Promise<T> {
  try {
    return await end();
  } finally {
    partial.release();
  }
}

/** Opens what must be there. */
export async function openStored(store: Store, digest: Digest): Promise<ByteSource> {
  const source = await store.open(digest);
  if (source === undefined) throw new Error(`${digest} is not stored`);
  return source;
}

/** Reads from `start` to the end, a buffer at a time. */
export async function readFrom(
  source: Pick<ByteSource, 'read'>,
  start = 0,
  bufferSize = 64 * 1024,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let position = start; ;) {
    const buffer = Buffer.alloc(bufferSize, 0xee);
    const length = await source.read(buffer, position);
    if (length === 0) return Buffer.concat(parts);
    parts.push(buffer.subarray(0, length));
    position += length;
  }
}

/** Reads a stored object whole and lets go of it. */
export async function readStored(store: Store, digest: Digest): Promise<Buffer> {
  const source = await openStored(store, digest);
  try {
    return await readFrom(source);
  } finally {
    source.close();
  }
}
