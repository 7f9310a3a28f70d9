import { close, fstat, open, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Digest } from '../../registry/digest.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { ByteSource, StoredObject } from '../store.ts';
import { diskFault, isMissing, isUnreadable } from './fault.ts';
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
}

interface Entry {
  /** The descriptor; undefined where the file is of no use. */
  readonly file: Promise<number | undefined>;
  readers: number;
}

/** Told of an object that the disk cannot give as it was stored. */
export type OnDamaged = (digest: Digest, error: BreakwaterError) => void;

export function createOpenObjects(
  pathOf: (digest: Digest) => string,
  warmth: Warmth,
  onDamaged: OnDamaged,
): OpenObjects {
  const entries = new Map<Digest, Entry>();

  async function openWhole({ digest, size }: StoredObject): Promise<number | undefined> {
    let file: number;
    try {
      file = await openFile(pathOf(digest), 'r');
    } catch (cause) {
      if (isMissing(cause)) return undefined;
      throw diskFault(cause, 'opening an object');
    }
    try {
      const found = (await statFile(file)).size;
      if (found === size) return file;
      onDamaged(digest, tooShort(digest, found, size));
      close(file, ignore);
      return undefined;
    } catch (cause) {
      close(file, ignore);
      throw diskFault(cause, 'opening an object');
    }
  }

  function letGo(digest: Digest, entry: Entry): void {
    entry.readers -= 1;
    if (entry.readers > 0) return;
    detach(digest, entry);
    entry.file.then(closeIfOpen, ignore); // whoever opened it was told
  }

  /** Nobody else shares the file from now on. */
  function detach(digest: Digest, entry: Entry): void {
    if (entries.get(digest) === entry) entries.delete(digest);
  }

  function reader(object: StoredObject, file: number, entry: Entry): ByteSource {
    const { digest, size } = object;
    let closed = false;

    function damaged(error: BreakwaterError): BreakwaterError {
      detach(digest, entry);
      onDamaged(digest, error);
      return error;
    }
    function checked(length: number, position: number): number {
      if (length === 0 && position < size) throw damaged(tooShort(digest, position, size));
      return length;
    }
    function failed(cause: unknown): BreakwaterError {
      if (cause instanceof BreakwaterError) return cause;
      const error = diskFault(cause, 'reading an object');
      return isUnreadable(cause) ? damaged(error) : error;
    }
    return {
      size,
      growing: false,
      read(buffer, position) {
        if (!warmth.isWarm(digest, Math.min(position + buffer.length, size))) {
          return readAside(file, buffer, position).then(
            (length) => {
              warmth.moved(digest, position, position + length);
              return checked(length, position);
            },
            (error: unknown) => {
              throw failed(error);
            },
          );
        }
        try {
          const before = performance.now();
          const length = readSync(file, buffer, 0, buffer.length, position);
          if (performance.now() - before > SLOW_READ_MS) warmth.cooled(digest);
          return checked(length, position);
        } catch (error) {
          throw failed(error);
        }
      },
      close() {
        if (!closed) letGo(digest, entry);
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
      if (file !== undefined) return reader(object, file, entry);
      letGo(digest, entry);
      return undefined;
    },
  };
}

function ignore(): void {}

function closeIfOpen(file: number | undefined): void {
  if (file !== undefined) close(file, ignore);
}

function tooShort(digest: Digest, found: number, size: number): BreakwaterError {
  return new BreakwaterError('STORE_UNAVAILABLE', `${digest} has ${found} bytes instead of ${size}`);
}

/** On the thread pool, so that a slow disk stops nobody else. */
function readAside(file: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(file, buffer, 0, buffer.length, position, (error, length) => {
      if (error === null) resolve(length);
      else reject(error);
    });
  });
}
