import { close, fstat, open, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Digest } from '../../registry/digest.ts';
import type { ByteSource, StoredObject } from '../store.ts';
import { diskFault, isMissing } from './fault.ts';
import type { Warmth } from './warmth.ts';

const openFile = promisify(open);
const statFile = promisify(fstat);

/** A read that the page cache answered takes microseconds; one this slow was the disk. */
const SLOW_READ_MS = 2;

/** The objects that are being read; each file is opened once for all who read it at the same time. */
export interface OpenObjects {
  has(digest: Digest): boolean;
  /**
   * Opens an object; undefined where its file is gone, or has another size than it was stored with.
   * @throws `STORE_UNAVAILABLE`.
   */
  open(object: StoredObject): Promise<ByteSource | undefined>;
  close(): Promise<void>;
}

interface Entry {
  /** The descriptor; undefined where the file is of no use. */
  readonly file: Promise<number | undefined>;
  readers: number;
}

export function createOpenObjects(pathOf: (digest: Digest) => string, warmth: Warmth): OpenObjects {
  const entries = new Map<Digest, Entry>();

  async function openWhole({ digest, size }: StoredObject): Promise<number | undefined> {
    let file: number;
    try {
      file = await openFile(pathOf(digest), 'r');
    } catch (cause) {
      if (isMissing(cause)) return undefined;
      throw diskFault(cause, 'opening an object');
    }
    if ((await statFile(file)).size === size) return file;
    close(file, () => undefined);
    return undefined;
  }

  function letGo(digest: Digest, entry: Entry): void {
    entry.readers -= 1;
    if (entry.readers > 0) return;
    if (entries.get(digest) === entry) entries.delete(digest);
    entry.file.then(closeIfOpen, () => undefined); // whoever opened it was told
  }

  function reader(object: StoredObject, file: number, onClose: () => void): ByteSource {
    const { digest, size } = object;
    let closed = false;
    return {
      size,
      growing: false,
      read(buffer, position) {
        if (!warmth.isWarm(digest, Math.min(position + buffer.length, size))) {
          return readAside(file, buffer, position).then((length) => {
            warmth.moved(digest, position, position + length);
            return length;
          });
        }
        const before = performance.now();
        const length = readNow(file, buffer, position);
        if (performance.now() - before > SLOW_READ_MS) warmth.cooled(digest);
        return length;
      },
      close() {
        if (!closed) onClose();
        closed = true;
      },
    };
  }

  return {
    has: (digest) => entries.has(digest),
    async open(object) {
      const { digest } = object;
      const entry = entries.get(digest) ?? { file: openWhole(object), readers: 0 };
      entry.readers += 1;
      entries.set(digest, entry);
      const file = await entry.file.catch((error: unknown) => {
        letGo(digest, entry);
        throw error;
      });
      if (file !== undefined) return reader(object, file, () => letGo(digest, entry));
      letGo(digest, entry);
      return undefined;
    },
    async close() {
      await Promise.all([...entries.values()].map(async ({ file }) => closeIfOpen(await file)));
    },
  };
}

function closeIfOpen(file: number | undefined): void {
  if (file !== undefined) close(file, () => undefined);
}

function readNow(file: number, buffer: Buffer, position: number): number {
  try {
    return readSync(file, buffer, 0, buffer.length, position);
  } catch (cause) {
    throw diskFault(cause, 'reading an object');
  }
}

/** On the thread pool, so that a slow disk stops nobody else. */
function readAside(file: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(file, buffer, 0, buffer.length, position, (error, length) => {
      if (error === null) resolve(length);
      else reject(diskFault(error, 'reading an object'));
    });
  });
}
