import { close, constants, fsync, mkdirSync, open, read, readSync, rename, unlink, write } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { createDigester, digestAlgorithm, type Digest } from '../../registry/digest.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import { diskFault, isMissing } from './fault.ts';

const openFile = promisify(open);
const closeFile = promisify(close);
const syncFile = promisify(fsync);
const renameFile = promisify(rename);

const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT;
/** Read at a time to hash what an earlier fill left. */
const REHASH_BYTES = 1024 * 1024;

/** A file that is hashed as it grows. */
export interface PartialFile {
  readonly length: number;
  append(chunk: Uint8Array): Promise<void>;
  read(buffer: Buffer, position: number): number;
  /** The digest of the bytes so far; ends the hash. */
  verify(): Digest;
  /** Makes the bytes durable under another path. */
  moveTo(target: string): Promise<void>;
  close(): void;
}

/**
 * Opens a partial file, the bytes that it holds already hashed anew.
 * @throws `STORE_UNAVAILABLE`, as all its functions do where the disk fails.
 */
export async function openPartialFile(path: string, expected: Digest | undefined): Promise<PartialFile> {
  const file = await openForWriting(path).catch((cause: unknown) => {
    throw diskFault(cause, 'opening a partial object');
  });
  const digester = createDigester(expected === undefined ? 'sha256' : digestAlgorithm(expected));
  let verified: Digest | undefined;
  let length = 0;
  try {
    for (;;) {
      const bytes = await readAt(file, length);
      if (bytes.length === 0) break;
      digester.update(bytes);
      length += bytes.length;
    }
  } catch (cause) {
    // what cannot be read back would fail every further fill of this digest
    close(file, () => unlink(path, () => undefined));
    throw diskFault(cause, 'reading a partial object');
  }
  return {
    get length() {
      return length;
    },
    async append(chunk) {
      digester.update(chunk);
      try {
        await writeAt(file, chunk, length);
      } catch (cause) {
        throw diskFault(cause, 'writing a partial object');
      }
      length += chunk.length;
    },
    read(buffer, position) {
      const wanted = Math.min(buffer.length, length - position);
      let given: number;
      try {
        given = readSync(file, buffer, 0, wanted, position);
      } catch (cause) {
        throw diskFault(cause, 'reading a partial object');
      }
      // to a reader, nothing would be the end
      if (given === 0 && wanted > 0) {
        throw diskFault(new Error(`nothing at ${position} of ${length}`), 'reading a partial object');
      }
      return given;
    },
    verify() {
      verified ??= digester.digest();
      if (expected !== undefined && verified !== expected) {
        throw new BreakwaterError(
          'DIGEST_MISMATCH',
          `expected ${expected}, received ${verified} (${length} bytes)`,
        );
      }
      return verified;
    },
    async moveTo(target) {
      try {
        await syncFile(file);
        await renameInto(path, target);
        await syncFolder(dirname(target));
      } catch (cause) {
        throw diskFault(cause, 'publishing an object');
      }
    },
    close: () => close(file, () => undefined),
  };
}

async function renameInto(path: string, target: string): Promise<void> {
  try {
    await renameFile(path, target);
  } catch (error) {
    if (!isMissing(error)) throw error;
    mkdirSync(dirname(target), { recursive: true });
    await renameFile(path, target);
  }
}

/** Opens for reading and writing, whatever is there kept; a folder that vanished is made again. */
async function openForWriting(path: string): Promise<number> {
  try {
    return await openFile(path, OPEN_FLAGS, 0o644);
  } catch (error) {
    if (!isMissing(error)) throw error;
    mkdirSync(dirname(path), { recursive: true });
    return openFile(path, OPEN_FLAGS, 0o644);
  }
}

/** A write may be cut short, by a full disk first of all. */
async function writeAt(file: number, chunk: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    written += await new Promise<number>((resolve, reject) => {
      write(file, chunk, written, chunk.length - written, position + written, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }
}

function readAt(file: number, position: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    read(file, Buffer.allocUnsafe(REHASH_BYTES), 0, REHASH_BYTES, position, (error, length, buffer) => {
      if (error === null) resolve(buffer.subarray(0, length));
      else reject(error);
    });
  });
}

async function syncFolder(path: string): Promise<void> {
  const folder = await openFile(path, 'r');
  try {
    await syncFile(folder);
  } finally {
    await closeFile(folder);
  }
}
