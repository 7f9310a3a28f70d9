import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { watchFiles, type WatchedFiles } from './watched-files.ts';

let folder: string;
let watched: WatchedFiles | undefined;
let failures: unknown[];
/** What was read at each call. */
let read: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-watched-'));
  failures = [];
  read = [];
});

afterEach(async () => {
  await watched?.close();
  rmSync(folder, { recursive: true });
  if (failures.length > 0) throw new AggregateError(failures);
});

function start(path: string): void {
  watched = watchFiles(
    [path],
    () => void read.push(readFileSync(path, 'utf8')),
    (thrown) => failures.push(thrown),
  );
}

/** Resolves when that was read. */
async function expectRead(text: string): Promise<void> {
  await expect.poll(() => read, { interval: 10, timeout: 5_000 }).toContain(text);
}

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

test('a file that is written in place, and one that takes its name, again and again', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, 'first');
  start(path);
  writeFileSync(path, 'in place');
  await expectRead('in place');
  replace(path, 'renamed');
  await expectRead('renamed');
  writeFileSync(path, 'in place again');
  await expectRead('in place again');
  replace(path, 'renamed again');
  await expectRead('renamed again');
});

test('a file that is written under another name, as one that is mounted alone is', async () => {
  const path = join(folder, 'file');
  mkdirSync(join(folder, 'elsewhere'));
  const other = join(folder, 'elsewhere', 'other');
  writeFileSync(other, 'first');
  linkSync(other, path);
  start(path);
  for (const text of ['second', 'third']) {
    writeFileSync(other, text);
    await expectRead(text);
  }
});

test('a file that is made later', async () => {
  const path = join(folder, 'file');
  start(path);
  replace(path, 'made');
  await expectRead('made');
});

test('a file behind a link whose target is another one', async () => {
  const path = join(folder, 'link');
  for (const version of ['1', '2']) {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, 'file'), version);
  }
  symlinkSync('1', join(folder, '..data'));
  symlinkSync(join('..data', 'file'), path);
  start(path);
  symlinkSync('2', join(folder, '..data_tmp'));
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  await expectRead('2');
  writeFileSync(join(folder, '2', 'file'), 'in place');
  await expectRead('in place');
});

test('a file that is written without a pause is read all the same', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  start(path);
  for (let write = 0; read.length < 2 && write < 500; write += 1) {
    writeFileSync(path, String(write));
    await delay(20);
  }
  expect(read).toHaveLength(2);
});

test('other files of its folder do not count', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, 'same');
  start(path);
  replace(join(folder, 'other'), 'x');
  await delay(400);
  expect(read).toEqual([]);
});

test('calls come one after the other, and none begins after the end', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, 'first');
  const held = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  let calls = 0;
  watched = watchFiles(
    [path],
    () => {
      calls += 1;
      began.resolve();
      return held.promise;
    },
    (thrown) => failures.push(thrown),
  );
  writeFileSync(path, 'second');
  await began.promise;
  writeFileSync(path, 'third');
  await delay(400);
  expect(calls).toBe(1);
  const closed = watched.close();
  held.resolve();
  await closed;
  await delay(10);
  expect(calls).toBe(1);
});
