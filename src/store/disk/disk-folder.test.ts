import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { content, endWith, openStored, readFrom, readStored, storeContent } from '../content.fixture.ts';
import { openDiskHarness, type DiskHarness } from './disk-store.fixture.ts';
import { openLayout } from './layout.ts';

const GIB = 1024 ** 3;
const blob = content('blob', 500_000);
let harness: DiskHarness;

afterEach(() => harness.dispose());

function fileOf(digest: string): string {
  return join(harness.root, 'blobs', ...digest.split(':'));
}

describe('the folder', () => {
  test('is laid out as an OCI image layout has its blobs', async () => {
    harness = await openDiskHarness(GIB);
    const other = content('other', 10, 'sha512');
    await storeContent(harness.store, blob);
    await storeContent(harness.store, other);
    expect((await readFile(fileOf(blob.digest))).equals(blob.bytes)).toBe(true);
    expect((await readFile(fileOf(other.digest))).equals(other.bytes)).toBe(true);
    expect((await readdir(harness.root)).filter((name) => !name.startsWith('index.sqlite')).sort()).toEqual([
      'blobs',
      'layout-version',
      'partial',
    ]);
    expect(await readFile(join(harness.root, 'layout-version'), 'utf8')).toBe('1\n');
    expect(await readdir(join(harness.root, 'partial'))).toEqual([]);
  });

  test('of another version is refused and left as it is', async () => {
    harness = await openDiskHarness(GIB);
    const file = join(harness.root, 'layout-version');
    await writeFile(file, '2\n');
    expect(() => openLayout(harness.root)).toThrow(
      expect.objectContaining({ code: 'CACHE_UNUSABLE', message: expect.stringContaining('says version 2') }),
    );
    expect(await readFile(file, 'utf8')).toBe('2\n');
    await writeFile(file, '1\n');
  });

  test('that cannot be made is refused with a way to mend it', async () => {
    harness = await openDiskHarness(GIB);
    await writeFile(join(harness.root, 'file'), '');
    expect(() => openLayout(join(harness.root, 'file', 'cache'))).toThrow(
      expect.objectContaining({ code: 'CACHE_UNUSABLE', mend: expect.stringContaining('chown') }),
    );
  });

  test('belongs to one process; a second one is told so', async () => {
    harness = await openDiskHarness(GIB);
    const database = join(import.meta.dirname, '../index/database.ts');
    const open = (): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [
        '--input-type=module',
        '--eval',
        `import { openIndex } from ${JSON.stringify(database)};
         try { openIndex(${JSON.stringify(join(harness.root, 'index.sqlite'))}).close(); console.log('opened'); }
         catch (error) { console.log(error.code, error.message, error.mend); }`,
      ]);
    expect(open().stdout.toString()).toMatch(
      /^CACHE_UNUSABLE another process uses the cache: .*index\.sqlite is locked Give each process/,
    );
    await harness.between(() => Promise.resolve(expect(open().stdout.toString()).toBe('opened\n')));
  });
});

describe('the index and the disk', () => {
  test('an index that is lost is made again from the files', async () => {
    harness = await openDiskHarness(GIB);
    const other = content('other', 10, 'sha512');
    await storeContent(harness.store, blob, 'application/example');
    await storeContent(harness.store, other);
    await harness.between(removeIndex);
    expect(harness.store.find(blob.digest)).toMatchObject({ size: 500_000, mediaType: undefined });
    // those that nobody asks for count too
    await expect.poll(() => harness.store.totals()).toEqual({ objects: 2, bytes: 500_010 });
    expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
    expect((await readStored(harness.store, other.digest)).equals(other.bytes)).toBe(true);
  });

  test('a file whose row was lost in a crash is taken in, and what is no object is left alone', async () => {
    harness = await openDiskHarness(GIB);
    await harness.between(async (root) => {
      await writeFile(join(root, 'blobs', ...blob.digest.split(':')), blob.bytes);
      await writeFile(join(root, 'blobs', 'sha256', 'README'), 'no object');
    });
    await harness.crash();
    await harness.crash();
    await expect.poll(() => harness.store.totals()).toEqual({ objects: 1, bytes: 500_000 });
    expect(existsSync(join(harness.root, 'blobs', 'sha256', 'README'))).toBe(true);
  });

  test.each([
    ['is not looked for where all went well', 0],
    ['is looked for where a fault may have kept its row from being written', 1],
  ])('a file without a row %s', async (_, objects) => {
    harness = await openDiskHarness(GIB);
    const other = content('other', 10);
    await storeContent(harness.store, other);
    if (objects > 0) {
      await truncate(fileOf(other.digest), 1);
      await harness.store.open(other.digest);
    }
    await harness.store.remove(other.digest);
    await harness.between((root) => writeFile(join(root, 'blobs', ...blob.digest.split(':')), blob.bytes));
    await expect.poll(() => harness.store.totals().objects).toBe(objects);
  });

  test('files that are too many are evicted once they are known', async () => {
    harness = await openDiskHarness(100_000);
    await harness.between(async (root) => {
      for (let index = 0; index < 5; index += 1) {
        const { bytes, digest } = content(`${index}`, 30_000);
        await writeFile(join(root, 'blobs', ...digest.split(':')), bytes);
      }
      await removeIndex(root);
    });
    await expect.poll(() => harness.store.totals()).toEqual({ objects: 3, bytes: 90_000 });
    await expect.poll(() => harness.bytesHeld()).toBe(90_000);
  });

  test('a row without its file is a miss, and mended', async () => {
    harness = await openDiskHarness(GIB);
    await storeContent(harness.store, blob);
    await rm(fileOf(blob.digest));
    expect(await harness.store.open(blob.digest)).toBeUndefined();
    expect(harness.store.find(blob.digest)).toBeUndefined();
    expect(harness.store.totals()).toEqual({ objects: 0, bytes: 0 });
    await storeContent(harness.store, blob);
    expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
  });

  test.each([
    ['shorter', 499_999],
    ['longer', 500_001],
  ])('a file that is %s than it was is a miss, reported and never taken in again', async (_, size) => {
    harness = await openDiskHarness(GIB);
    await storeContent(harness.store, blob);
    await truncate(fileOf(blob.digest), size);
    expect(await harness.store.open(blob.digest)).toBeUndefined();
    expect(harness.store.find(blob.digest)).toBeUndefined();
    expect(harness.faults).toEqual([expect.stringContaining(`has ${size} bytes instead of 500000`)]);
    await expect.poll(() => existsSync(fileOf(blob.digest))).toBe(false);
    await harness.crash();
    expect(harness.store.find(blob.digest)).toBeUndefined();
  });

  test('a file that is cut while it is read ends in a failure, not in an end, and is dropped', async () => {
    harness = await openDiskHarness(GIB);
    await storeContent(harness.store, blob);
    const source = await openStored(harness.store, blob.digest);
    await truncate(fileOf(blob.digest), 20_000);
    await expect(readFrom(source, 0, 70_000)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(harness.store.find(blob.digest)).toBeUndefined();
    expect(harness.faults).toHaveLength(1);
    await storeContent(harness.store, blob);
    expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
    source.close();
    expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
  });

  test('a name that cannot be looked at is a miss and a fault', async () => {
    harness = await openDiskHarness(GIB);
    await symlink(fileOf(blob.digest), fileOf(blob.digest));
    expect(harness.store.find(blob.digest)).toBeUndefined();
    expect(harness.faults).toContainEqual(expect.stringContaining('ELOOP'));
  });

  test('an index that can no longer be written or read fails nothing', async () => {
    harness = await openDiskHarness(GIB);
    await harness.breakIndex();
    await storeContent(harness.store, blob);
    expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
    await harness.store.remove(blob.digest);
    expect(harness.store.find(blob.digest)).toBeUndefined();
    expect(harness.faults).toContainEqual(expect.stringContaining('reading the index'));
    expect(harness.faults).toContainEqual(expect.stringContaining('writing the index'));
  });
});

describe('partial files', () => {
  test('what belongs to no digest, or holds nothing, is deleted at the start', async () => {
    harness = await openDiskHarness(GIB);
    const partials = join(harness.root, 'partial');
    const part = `sha256-${'a'.repeat(64)}`;
    await harness.between(async () => {
      await writeFile(join(partials, '0190c0de-unnamed'), 'left by a crash');
      await writeFile(join(partials, `sha256-${'b'.repeat(64)}`), '');
      await writeFile(join(partials, part), 'some bytes');
      await mkdir(join(partials, 'folder'));
    });
    expect(await readdir(partials)).toEqual([part]);
  });

  test('one that was cut behind our back is gone on with from where it ends', async () => {
    harness = await openDiskHarness(GIB);
    const first = await harness.store.begin(blob.digest);
    await first.append(blob.bytes.subarray(0, 20_000));
    await endWith(first, () => first.keep());
    const [name = ''] = await readdir(join(harness.root, 'partial'));
    await truncate(join(harness.root, 'partial', name), 5_000);
    const second = await harness.store.begin(blob.digest);
    expect(second.length).toBe(5_000);
    await second.append(blob.bytes.subarray(5_000));
    await endWith(second, () => second.publish(undefined));
    expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
  });

  test('one that is cut while it is read is a failure, not an end', async () => {
    harness = await openDiskHarness(GIB);
    const partial = await harness.store.begin(blob.digest);
    await partial.append(blob.bytes.subarray(0, 20_000));
    const [name = ''] = await readdir(join(harness.root, 'partial'));
    await truncate(join(harness.root, 'partial', name), 5_000);
    expect(() => partial.read(Buffer.alloc(10), 6_000)).toThrow(
      expect.objectContaining({ code: 'STORE_UNAVAILABLE' }),
    );
    await endWith(partial, () => partial.discard());
  });

  test.each(['blobs', 'partial', '.'])(
    'where %s vanished, the next object makes it again',
    async (folder) => {
      harness = await openDiskHarness(GIB);
      await storeContent(harness.store, content('before', 100));
      const growing = await harness.store.begin(content('growing', 100).digest);
      await growing.append(content('growing', 100).bytes);
      await rm(join(harness.root, folder), { recursive: true });
      await endWith(growing, () => growing.publish(undefined)).catch(() => growing.discard());
      await storeContent(harness.store, blob);
      expect((await stat(fileOf(blob.digest))).size).toBe(500_000);
      expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
    },
  );
});

describe('free space', () => {
  test('what CACHE_MIN_FREE wants free is never taken', async () => {
    harness = await openDiskHarness(GIB, Number.MAX_SAFE_INTEGER);
    const partial = await harness.store.begin(blob.digest);
    await expect(partial.reserve(10)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await endWith(partial, () => partial.discard());
    expect(await harness.bytesHeld()).toBe(0);
  });
});

async function removeIndex(root: string): Promise<void> {
  const names = (await readdir(root)).filter((name) => name.startsWith('index.sqlite'));
  await Promise.all(names.map((name) => rm(join(root, name))));
}
