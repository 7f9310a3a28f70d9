import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openIndex, type Index } from '../index/database.ts';
import { createObjectTable } from '../index/object-table.ts';
import { createS3Fifo } from '../s3-fifo.ts';
import type { Store } from '../store.ts';
import type { StoreHarness } from '../store.contract.ts';
import { createDiskStore } from './disk-store.ts';
import { openLayout } from './layout.ts';

export interface DiskHarness extends StoreHarness {
  readonly root: string;
  /** What the store reported, newest last. */
  readonly faults: string[];
  /** Opens the store anew as after a crash: its last words were not written. */
  crash(): Promise<void>;
  /** Does something to the folder while no store is open on it. */
  between(change: (root: string) => Promise<unknown>): Promise<void>;
  /** From now on the index answers nothing but failures. */
  breakIndex(): Promise<void>;
}

/** A disk store in a folder of its own. */
export async function openDiskHarness(maxSize: number, minFree = 0): Promise<DiskHarness> {
  const root = await mkdtemp(join(tmpdir(), 'breakwater-store-'));
  const faults: string[] = [];
  let index: Index;
  let store: Store;

  function start(): void {
    const { layout } = openLayout(root);
    index = openIndex(layout.index);
    const onFault = (error: unknown, doing: string): void => {
      index.doubt();
      faults.push(`${doing}: ${String(error)}`);
    };
    store = createDiskStore({
      layout,
      objects: createObjectTable(index.database, onFault),
      eviction: createS3Fifo(),
      bounds: () => ({ maxSize, minFree }),
      clean: index.clean,
      now: Date.now,
      onFault,
    });
  }

  async function reopen(change?: (root: string) => Promise<unknown>): Promise<void> {
    await store.close();
    index.close();
    await change?.(root);
    start();
  }

  start();
  return {
    root,
    faults,
    get store() {
      return store;
    },
    reopen: () => reopen(),
    between: reopen,
    async crash() {
      await store.close();
      index.database.close();
      start();
    },
    breakIndex: () => Promise.resolve(index.database.close()),
    async bytesHeld() {
      const held = await Promise.all(['blobs', 'partial'].map((folder) => bytesBelow(join(root, folder))));
      return held.reduce((sum, bytes) => sum + bytes, 0);
    },
    async dispose() {
      await store.close();
      if (index.database.isOpen) index.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(({ parentPath, name }) =>
      stat(join(parentPath, name)).then(
        ({ size }) => size,
        () => 0, // it went while we looked
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
