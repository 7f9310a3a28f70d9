import { close, fsync, open, readSync, rename, unlink, write } from 'node:fs';
import { promisify } from 'node:util';
import { createDigester, digestAlgorithm, type Digest } from '../../registry/digest.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { PartialObject, StoredObject } from '../store.ts';

const openFile = promisify(open);
const closeFile = promisify(close);
const syncFile = promisify(fsync);
const renameFile = promisify(rename);
const unlinkFile = promisify(unlink);

interface PartialFileOptions {
  readonly path: string;
  readonly expected: Digest | undefined;
  /** The final path of an object, in a folder that exists. */
  readonly target: (digest: Digest) => string;
  /** The folder whose entry for the target must be durable. */
  readonly folder: (digest: Digest) => string;
  readonly published: (object: StoredObject) => void;
}

/** Begins a file that is hashed as it grows and gets its name only when it is whole. */
export async function createPartialFile(options: PartialFileOptions): Promise<PartialObject> {
  const { path, expected } = options;
  const file = await openFile(path, 'w+', 0o644);
  const digester = createDigester(expected === undefined ? 'sha256' : digestAlgorithm(expected));
  let length = 0;

  const writeAt = (chunk: Uint8Array, position: number): Promise<number> =>
    new Promise((resolve, reject) => {
      write(file, chunk, 0, chunk.length, position, (error, written) =>
        error === null ? resolve(written) : reject(error),
      );
    });

  return {
    get length() {
      return length;
    },
    async append(chunk) {
      digester.update(chunk);
      // a write may be cut short, by a full disk first of all
      for (let rest = chunk, at = length; rest.length > 0;) {
        const written = await writeAt(rest, at);
        rest = rest.subarray(written);
        at += written;
      }
      length += chunk.length;
    },
    read: (buffer, position) =>
      readSync(file, buffer, 0, Math.min(buffer.length, length - position), position),
    async publish(mediaType) {
      const digest = digester.digest();
      if (expected !== undefined && digest !== expected) {
        await unlinkFile(path);
        throw new BreakwaterError(
          'DIGEST_MISMATCH',
          `expected ${expected}, received ${digest} (${length} bytes)`,
        );
      }
      await syncFile(file);
      await renameFile(path, options.target(digest));
      await syncFolder(options.folder(digest));
      const object: StoredObject = { digest, size: length, mediaType };
      options.published(object);
      return object;
    },
    discard: () => unlinkFile(path),
    release: () => close(file, () => undefined),
  };
}

async function syncFolder(path: string): Promise<void> {
  const folder = await openFile(path, 'r');
  try {
    await syncFile(folder);
  } finally {
    await closeFile(folder);
  }
}
