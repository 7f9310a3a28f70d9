import { close, open, read, readSync } from 'node:fs';
import type { StoredObject } from '../store.ts';
import type { Warmth } from './warmth.ts';

/** A read that the page cache answered takes microseconds; one this slow was the disk. */
const SLOW_READ_MS = 2;

/** An object's file, opened once for all who read it at the same time. */
export interface OpenObject {
  readonly object: StoredObject;
  /** Reads up to `buffer.length` bytes; 0 at the end. */
  read(buffer: Buffer, position: number): number | Promise<number>;
  close(): void;
}

/** @throws the system's error, `ENOENT` first of all. */
export async function openObject(path: string, object: StoredObject, warmth: Warmth): Promise<OpenObject> {
  const file = await new Promise<number>((resolve, reject) => {
    open(path, 'r', (error, descriptor) => (error === null ? resolve(descriptor) : reject(error)));
  });
  const fromDisk = (buffer: Buffer, position: number): Promise<number> =>
    new Promise((resolve, reject) => {
      read(file, buffer, 0, buffer.length, position, (error, length) => {
        if (error !== null) return reject(error);
        warmth.moved(object.digest, position, position + length);
        resolve(length);
      });
    });
  return {
    object,
    read(buffer, position) {
      const end = Math.min(position + buffer.length, object.size);
      if (!warmth.isWarm(object.digest, end)) return fromDisk(buffer, position);
      const before = performance.now();
      const length = readSync(file, buffer, 0, buffer.length, position);
      if (performance.now() - before > SLOW_READ_MS) warmth.cooled(object.digest);
      return length;
    },
    close: () => close(file, () => undefined),
  };
}
