import { existsSync } from 'node:fs';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { injectFault, mountExt4, mountMemory, type Disk } from './support/disks.ts';
import { randomBlob, type Blob } from './upstream/content.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath } from './upstream/paths.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const MIB = 1024 * 1024;
const REPOSITORY = 'disk/faults';

let stage: Stage;
let disk: Disk | undefined;

afterEach(async () => {
  await stage.proxy.kill();
  await disk?.[Symbol.asyncDispose]();
  disk = undefined;
  await stage.close();
});

/** A stage whose cache lies on a file system of its own. */
async function stageOn(mount: (folder: string) => Promise<Disk>): Promise<void> {
  stage = await startStage();
  await stage.proxy.stop();
  disk = await mount(stage.proxy.cacheDir);
  await stage.proxy.start();
}

function publish(seed: string, size: number): Blob {
  const blob = randomBlob(seed, size);
  stage.registry.put({ repository: REPOSITORY, blobs: [blob] });
  return blob;
}

async function pull(blob: Blob): Promise<string | undefined> {
  // the port is another after each start
  using client = stage.newClient();
  const pulled = await client.get(blobPath(REPOSITORY, blob));
  expectWhole(pulled, blob);
  return cacheStatus(pulled);
}

function fileOf({ digest }: Blob): string {
  return join(stage.proxy.cacheDir, 'blobs', ...digest.split(':'));
}

function partialOf({ digest }: Blob): string {
  return join(stage.proxy.cacheDir, 'partial', digest.replace(':', '-'));
}

function said(message: string): number {
  return stage.proxy.stderr.split('\n').filter((line) => line.includes(message)).length;
}

/** Six clients of one blob, two of them slow, one late; the disk fails when they have a part of it. */
async function pullWhile(blob: Blob, break_: () => Promise<unknown>): Promise<void> {
  const { registry } = stage;
  const path = blobPath(REPOSITORY, blob);
  const hold = registry.hold({ path }, MIB);
  const rates = [undefined, undefined, undefined, 16 * MIB, 8 * MIB];
  const pulls = rates.map((rate) => stage.newClient().open(path, rate === undefined ? {} : { rate }));
  await Promise.all(pulls.map((pull) => pull.reached(MIB / 2)));
  await break_();
  hold.release();
  const late = stage.newClient().get(path);
  for (const pulled of await Promise.all([...pulls.map(({ done }) => done), late])) expectWhole(pulled, blob);
}

describe('a disk that is full', () => {
  test('in the middle of a fill costs no client a byte, is said once, and is over when there is room', async () => {
    await stageOn((folder) => mountMemory(folder, 'size=16m'));
    const filler = join(stage.proxy.cacheDir, 'filler');
    await pullWhile(publish('enospc', 4 * MIB), () => fillUp(filler));
    const other = publish('enospc, other', MIB);
    expect(await pull(other)).toBe('MISS');
    expect(await pull(other)).toBe('MISS');
    expect(said('store degraded')).toBe(1);
    expect(said('store recovered')).toBe(0);
    await rm(filler);
    expect(await pull(other)).toBe('MISS');
    await stage.proxy.stored(other);
    await expect.poll(() => pull(other)).toBe('HIT');
    expect(said('store degraded')).toBe(1);
    expect(said('store recovered')).toBe(1);
    expect(await stage.proxy.files('partial')).toEqual([]);
  });

  test('passes images through, by tag and by digest', async () => {
    await stageOn((folder) => mountMemory(folder, 'size=16m'));
    await fillUp(join(stage.proxy.cacheDir, 'filler'));
    const image = craftImage({ seed: 'on a full disk', layers: [100_000, MIB] });
    stage.registry.putImage(REPOSITORY, image, 'latest');
    using client = stage.newClient();
    for (let round = 0; round < 2; round += 1) {
      for (const reference of ['latest', image.manifest]) {
        const path = manifestPath(REPOSITORY, reference);
        expectWhole(await client.get(path, { headers: { accept: ANY_MANIFEST } }), image.manifest);
      }
      for (const blob of [image.config, ...image.layers]) expect(await pull(blob)).toBe('MISS');
    }
  });

  test('makes room of what it has, and never goes over its bounds', async () => {
    await stageOn((folder) => mountMemory(folder, 'size=10m'));
    for (let index = 0; index < 8; index += 1) {
      const blob = publish(`room ${index}`, 2 * MIB);
      expect(await pull(blob)).toBe('MISS');
      await stage.proxy.stored(blob);
      await expect.poll(() => pull(blob)).toBe('HIT');
    }
    expect(said('store degraded')).toBe(0);
  });
});

test('a blob larger than the whole cache streams through, and smaller ones stay', async () => {
  stage = await startStage({ env: { CACHE_MAX_SIZE: '4m' } });
  const small = publish('small', MIB);
  await pull(small);
  await stage.proxy.stored(small);
  const large = publish('large', 6 * MIB);
  await pullWhile(large, () => Promise.resolve());
  expect(await pull(large)).toBe('MISS');
  expect(existsSync(fileOf(large))).toBe(false);
  expect(await stage.proxy.files('partial')).toEqual([]);
  await expect.poll(() => pull(small)).toBe('HIT');
  expect(said('store degraded')).toBe(0); // that is no fault of the disk
});

describe('a disk that cannot be written', () => {
  test('since it turned read-only, index and all: what is cached is served, the rest passes through', async () => {
    await stageOn((folder) => mountExt4(folder, 64));
    const before = publish('before', MIB);
    await pull(before);
    await stage.proxy.stored(before);
    await pullWhile(publish('erofs', 4 * MIB), async () => disk?.fail());
    await expect.poll(() => pull(before)).toBe('HIT');
    const after = publish('after', MIB);
    for (let round = 0; round < 3; round += 1) expect(await pull(after)).toBe('MISS');
    const image = craftImage({ seed: 'read-only', layers: [50_000] });
    stage.registry.putImage(REPOSITORY, image, 'latest');
    using client = stage.newClient();
    for (let round = 0; round < 2; round += 1) {
      const headers = { accept: ANY_MANIFEST };
      expectWhole(await client.get(manifestPath(REPOSITORY, 'latest'), { headers }), image.manifest);
    }
    expect(said('store degraded')).toBe(1);
    expect(said('store recovered')).toBe(0);
  });

  test('is used again by itself once it can be', async () => {
    stage = await startStage();
    const partials = join(stage.proxy.cacheDir, 'partial');
    disk = await mountMemory(partials, 'size=1m,ro');
    const blob = publish('erofs', MIB);
    for (let round = 0; round < 3; round += 1) expect(await pull(blob)).toBe('MISS');
    expect(said('store degraded')).toBe(1);
    await disk[Symbol.asyncDispose]();
    disk = undefined;
    expect(await pull(blob)).toBe('MISS');
    await stage.proxy.stored(blob);
    await expect.poll(() => pull(blob)).toBe('HIT');
    expect(said('store recovered')).toBe(1);
  });

  test.each([
    ['writing', ['pwrite64']],
    ['syncing', ['fsync']],
  ])('for an I/O error in %s costs no client a byte', async (_, calls) => {
    stage = await startStage();
    const blob = publish(`eio ${calls[0]}`, 4 * MIB);
    let fault: AsyncDisposable | undefined;
    await pullWhile(blob, async () => {
      fault = await injectFault(stage.proxy.pid, partialOf(blob), calls, 'EIO');
    });
    await expect.poll(() => said('store degraded')).toBe(1);
    await fault?.[Symbol.asyncDispose]();
    await expect.poll(() => stage.proxy.files('partial')).toEqual([]);
    await pull(blob);
    await stage.proxy.stored(blob);
    await expect.poll(() => pull(blob)).toBe('HIT');
    expect(said('store recovered')).toBe(1);
  });
});

describe('a disk that cannot be read', () => {
  test('gives way to upstream at any byte, and the object is dropped and fetched again', async () => {
    stage = await startStage();
    const blob = publish('unreadable', 16 * MIB);
    await pull(blob);
    await stage.proxy.stored(blob);
    await stage.proxy.restart(); // nothing of it is thought to be in memory
    const { pid } = stage.proxy;
    const pulls = [1, 2].map(() => stage.newClient().open(blobPath(REPOSITORY, blob), { stallAfter: MIB }));
    await Promise.all(pulls.map((one) => one.reached(MIB)));
    const fault = await injectFault(pid, fileOf(blob), ['pread64'], 'EIO');
    for (const one of pulls) one.resume();
    for (const pulled of await Promise.all(pulls.map(({ done }) => done))) {
      expectWhole(pulled, blob);
      expect(cacheStatus(pulled)).toBe('HIT');
    }
    await fault[Symbol.asyncDispose]();
    expect(said('store degraded')).toBe(1);
    expect(await pull(blob)).toBe('MISS');
    await stage.proxy.stored(blob);
    await expect.poll(() => pull(blob)).toBe('HIT');
    expect(said('store recovered')).toBe(1);
  });

  test('a stored object that was cut is dropped and fetched again', async () => {
    stage = await startStage();
    const blob = publish('cut', 2 * MIB);
    await pull(blob);
    await stage.proxy.stored(blob);
    await truncate(fileOf(blob), MIB);
    expect(await pull(blob)).toBe('MISS');
    await stage.proxy.stored(blob);
    await expect.poll(() => pull(blob)).toBe('HIT');
    expect(stage.registry.requests.count({ method: 'GET', path: blobPath(REPOSITORY, blob) })).toBe(2);
  });

  test('a stored object that is cut while it is read goes on from upstream at that byte', async () => {
    stage = await startStage();
    const blob = publish('cut while read', 24 * MIB);
    await pull(blob);
    await stage.proxy.stored(blob);
    const path = blobPath(REPOSITORY, blob);
    const reading = stage.newClient().open(path, { stallAfter: MIB });
    await reading.reached(MIB);
    await truncate(fileOf(blob), 23 * MIB);
    reading.resume();
    expectWhole(await reading.done, blob);
    const [, resumed] = stage.registry.requests.find({ method: 'GET', path });
    expect(resumed?.headers.range).toBe(`bytes=${23 * MIB}-`);
    expect(await pull(blob)).toBe('MISS');
    await stage.proxy.stored(blob);
    await expect.poll(() => pull(blob)).toBe('HIT');
  });
});

describe('a folder that vanishes', () => {
  test.each(['blobs', 'partial', '.'])('%s: pulls go on, and later ones are stored again', async (folder) => {
    stage = await startStage();
    const before = publish('before', MIB);
    await pull(before);
    await stage.proxy.stored(before);
    const during = publish('during', 4 * MIB);
    await pullWhile(during, () => rm(join(stage.proxy.cacheDir, folder), { recursive: true }));
    for (const blob of [before, during, publish('after', MIB)]) {
      await pull(blob);
      await stage.proxy.stored(blob);
      await expect.poll(() => pull(blob)).toBe('HIT');
    }
  });

  test('and whose name is no folder any more passes everything through', async () => {
    stage = await startStage();
    const blob = publish('no folder', MIB);
    await rm(stage.proxy.cacheDir, { recursive: true });
    await writeFile(stage.proxy.cacheDir, 'no folder');
    for (let round = 0; round < 2; round += 1) expect(await pull(blob)).toBe('MISS');
    expect(said('store degraded')).toBe(1);
    await rm(stage.proxy.cacheDir);
    await mkdir(stage.proxy.cacheDir);
    await pull(blob);
    await stage.proxy.stored(blob);
    await expect.poll(() => pull(blob)).toBe('HIT');
    expect(said('store recovered')).toBe(1);
  });
});

/** Writes until nothing more fits. */
async function fillUp(file: string): Promise<void> {
  const block = Buffer.alloc(64 * 1024);
  const filling = async (): Promise<void> => {
    for (;;) await writeFile(file, block, { flag: 'a' });
  };
  await expect(filling()).rejects.toMatchObject({ code: 'ENOSPC' });
}
