import { LRUCache } from 'lru-cache';
import type { Digest } from '../registry/digest.ts';
import type { ByteSource, StoredObject } from './store.ts';

/** Manifests and configurations are asked for far more often than they are large. */
const MAX_OBJECT = 256 * 1024;
const MAX_BYTES = 32 * 1024 * 1024;

/** The small objects asked for last, in memory: no file is opened for them. */
export interface SmallObjects {
  find(digest: Digest): ByteSource | undefined;
  /** Takes an object in by reading all of `source`, which is closed, or gives `source` back where it is too large. */
  takeIn(object: StoredObject, source: ByteSource): Promise<ByteSource>;
  forget(digest: Digest): void;
}

export function createSmallObjects(): SmallObjects {
  const cache = new LRUCache<Digest, ByteSource>({ maxSize: MAX_BYTES });
  return {
    find: (digest) => cache.get(digest),
    async takeIn({ digest, size }, source) {
      if (size > MAX_OBJECT) return source;
      try {
        const bytes = Buffer.allocUnsafeSlow(size);
        for (let length = 0; length < size;) length += await source.read(bytes.subarray(length), length);
        const memory = memorySource(bytes);
        cache.set(digest, memory, { size: size + 1 });
        return memory;
      } finally {
        source.close();
      }
    },
    forget: (digest) => void cache.delete(digest),
  };
}

/** Holds nothing of a reader: all of them share one. */
function memorySource(bytes: Buffer): ByteSource {
  return {
    bytes,
    size: bytes.length,
    growing: false,
    read: (buffer, position) => (position < bytes.length ? bytes.copy(buffer, 0, position) : 0),
    close: () => undefined,
  };
}
