import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { randomBlob, sha256Of, toBuffer, type Blob } from './upstream/content.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { parseMultipart } from './upstream/multipart.ts';
import { blobPath, cacheStatus, expectRange, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import type { PullClient, Pulled } from './upstream/pull-client.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const KB = 1024;
const MB = 1024 * KB;
const NEVER = new Promise<void>(() => undefined);

let stage: Stage;
let registry: ScriptedRegistry;
let client: PullClient;
let count = 0;

beforeAll(async () => {
  stage = await startStage();
  ({ registry, client } = stage);
});

afterEach(() => registry.reset());

afterAll(() => stage.close());

function publish(size: number): { blob: Blob; path: string } {
  count += 1;
  const repository = `ranges/${count}`;
  const blob = randomBlob(repository, size);
  registry.put({ repository, blobs: [blob] });
  return { blob, path: blobPath(repository, blob) };
}

const SIZE = 100_000;

/** What is asked, and where the answer begins and ends (exclusive). */
const SINGLE: readonly (readonly [string, number, number])[] = [
  ['bytes=0-0', 0, 1],
  ['bytes=0-', 0, SIZE],
  ['bytes=500-1499', 500, 1500],
  ['bytes=500-', 500, SIZE],
  ['bytes=-500', SIZE - 500, SIZE],
  ['bytes=-999999', 0, SIZE],
  ['bytes=99999-99999', SIZE - 1, SIZE],
  ['bytes=2000-500000', 2000, SIZE],
  ['Bytes = 7-9', 7, 10],
];

const UNSATISFIABLE = ['bytes=100000-', 'bytes=100000-100001', 'bytes=500-0', 'bytes=-0'];
const IGNORED = ['bytes=', 'bytes=a-b', 'items=0-5', 'bytes=--5', '0-5'];
const SEVERAL = 'bytes=0-9, 50000-50009, -10';

function expectParts(pulled: Pulled, blob: Blob): void {
  expect(pulled).toMatchObject({ status: 206, complete: true });
  expect(pulled.headers['content-length']).toBe(String(pulled.bytes));
  const parts = parseMultipart(pulled.headers['content-type'], pulled.body);
  expect(parts.map(({ range }) => range)).toEqual([
    `bytes 0-9/${SIZE}`,
    `bytes 50000-50009/${SIZE}`,
    `bytes ${SIZE - 10}-${SIZE - 1}/${SIZE}`,
  ]);
  const [first, second, last] = parts.map(({ bytes }) => bytes);
  expect(first).toEqual(toBuffer(blob, 0, 10));
  expect(second).toEqual(toBuffer(blob, 50_000, 50_010));
  expect(last).toEqual(toBuffer(blob, SIZE - 10, SIZE));
  expect(new Set(parts.map(({ type }) => type))).toEqual(new Set(['application/octet-stream']));
}

describe.each(['finished', 'cold', 'growing'] as const)('of an object that is %s (issue 3.2)', (state) => {
  /** A blob in that state, and what lets a growing one go on. */
  async function prepare(): Promise<{ blob: Blob; path: string; finish: () => Promise<void> }> {
    const { blob, path } = publish(SIZE);
    if (state === 'growing') {
      const held = registry.hold({ path }, 60_000);
      const fill = client.open(path);
      await fill.reached(60_000);
      return {
        blob,
        path,
        async finish() {
          held.release();
          expectWhole(await fill.done, blob);
        },
      };
    }
    if (state === 'finished') {
      expectWhole(await client.get(path), blob);
      await stage.proxy.stored(blob);
    }
    return { blob, path, finish: () => Promise.resolve() };
  }

  test.each(SINGLE)('%s', async (range, start, end) => {
    const { blob, path, finish } = await prepare();
    const pull = client.open(path, { range });
    // what has arrived is given before the rest is there; the ends of the others wait for it
    if (end <= 60_000) expectRange(await pull.done, blob, start, end);
    await finish();
    expectRange(await pull.done, blob, start, end);
    expect(registry.requests.find().map(({ headers }) => headers.range)).toEqual([undefined]);
  });

  test('several', async () => {
    const { blob, path, finish } = await prepare();
    const pull = client.open(path, { range: SEVERAL });
    await finish();
    expectParts(await pull.done, blob);
    expect(registry.requests.count()).toBe(1);
  });

  test.each(UNSATISFIABLE)('416: %s', async (range) => {
    const { blob, path, finish } = await prepare();
    const pulled = await client.get(path, { range });
    expect(pulled).toMatchObject({ status: 416, complete: true });
    expect(pulled.headers['content-range']).toBe(`bytes */${blob.size}`);
    await finish();
  });

  test.each(IGNORED)('ignored: %s', async (range) => {
    const { blob, path, finish } = await prepare();
    const pull = client.open(path, { range });
    await finish();
    expectWhole(await pull.done, blob);
    expect((await pull.done).headers['accept-ranges']).toBe('bytes');
  });

  test('If-Range obeys its own digest alone', async () => {
    const { blob, path, finish } = await prepare();
    const ask = (ifRange: string): Promise<Pulled> =>
      client.get(path, { range: 'bytes=5-9', headers: { 'if-range': ifRange } });
    const right = ask(`"${blob.digest}"`);
    const others = [`W/"${blob.digest}"`, '"sha256:0"', 'Wed, 21 Oct 2026 07:28:00 GMT'].map(ask);
    await finish();
    expectRange(await right, blob, 5, 10);
    for (const other of others) expectWhole(await other, blob);
    expect(registry.requests.count()).toBe(1);
  });

  test('HEAD has no ranges', async () => {
    const { blob, path, finish } = await prepare();
    const pulled = await client.head(path, { range: 'bytes=5-9' });
    await finish();
    // RFC 9110, 14.2: Range is defined for GET alone
    expect(pulled.status).toBe(200);
    expect(pulled.headers['content-length']).toBe(String(blob.size));
  });
});

describe('bytes=0- on anything is a full answer as 206', () => {
  test.each(['tag', 'digest'] as const)('a manifest by %s', async (by) => {
    count += 1;
    const repository = `ranges/${count}`;
    const { manifest } = craftImage({ seed: repository });
    registry.put({ repository, manifest, tags: ['1'] });
    const path = manifestPath(repository, by === 'tag' ? '1' : manifest);
    const options = { range: 'bytes=0-', headers: { accept: ANY_MANIFEST } };
    for (const _ of ['cold', 'warm']) {
      expectRange(await client.get(path, options), manifest, 0, manifest.size);
    }
    expect(registry.requests.find({ method: 'GET' })).toHaveLength(1);
    expect(registry.requests.all.every(({ headers }) => headers.range === undefined)).toBe(true);
  });

  test('and is kept: the next one is a HIT', async () => {
    const { blob, path } = publish(SIZE);
    expectRange(await client.get(path, { range: 'bytes=0-' }), blob, 0, blob.size);
    await stage.proxy.stored(blob);
    const again = await untilHit(() => client.get(path));
    expectWhole(again, blob);
    expect(cacheStatus(again)).toBe('HIT');
    expect(registry.requests.count()).toBe(1);
  });

  test('where upstream does not say the size, too', async () => {
    const { blob, path } = publish(SIZE);
    registry.on({ path }, { contentLength: 'none' });
    const pulled = await client.get(path, { range: 'bytes=0-' });
    expect(pulled).toMatchObject({ complete: true, bytes: blob.size, sha256: sha256Of(blob) });
    await stage.proxy.stored(blob);
    expectRange(await client.get(path, { range: 'bytes=10-19' }), blob, 10, 20);
  });
});

describe('a range far ahead of the fill', () => {
  test('is fetched apart, and bounded, while the fill stands still', async () => {
    const { blob, path } = publish(24 * MB);
    registry.on({ path }, ({ headers }) => (headers.range === undefined ? { rate: 200 * KB } : {}));
    const fill = client.open(path);
    await fill.firstByte;
    const start = 20 * MB;
    const pulled = await client.get(path, { range: `bytes=${start}-${start + 99_999}` });
    expectRange(pulled, blob, start, start + 100_000);
    expect(fill.bytes).toBeLessThan(2 * MB);
    const [, apart] = registry.requests.all;
    expect(apart?.headers.range).toBe(`bytes=${start}-${start + 99_999}`);
    fill.leave();
    registry.reset();
  });

  test('is served from the file when the fill has come there', async () => {
    const { blob, path } = publish(4 * MB);
    expectWhole(await client.get(path), blob);
    await stage.proxy.stored(blob);
    registry.requests.forget();
    expectRange(await client.get(path, { range: 'bytes=-1000' }), blob, blob.size - 1000, blob.size);
    expect(registry.requests.count()).toBe(0);
  });

  test.each([4, 8])(
    "containerd's way: %i open ranges, closed early, cost one fetch and what is far ahead",
    async (parallel) => {
      const size = 16 * MB;
      const chunk = size / parallel;
      const { blob, path } = publish(size);
      // a stretch stops where its client has enough: more is read by nobody who is still there
      registry.on({ path }, ({ headers }) =>
        headers.range === undefined ? { rate: 4 * MB } : { stall: { at: chunk, until: NEVER } },
      );
      const pulls = Array.from({ length: parallel }, (_, index) =>
        client.open(path, { range: `bytes=${index * chunk}-`, leaveAfter: chunk }),
      );
      const full = await registry.nextRequest({ path });
      let filled = false;
      void full.closed.then(() => {
        filled = true;
      });
      const results = await Promise.all(pulls.map(({ done }) => done));
      expect(filled).toBe(false);
      results.forEach((pulled, index) => {
        expect(pulled.status).toBe(206);
        expect(pulled.bytes).toBe(chunk);
        expect(pulled.sha256).toBe(sha256Of(blob, index * chunk, (index + 1) * chunk));
      });
      await stage.proxy.stored(blob);
      const [first, ...apart] = registry.requests.all;
      expect(first?.headers.range).toBeUndefined();
      for (const { headers } of apart) expect(headers.range).toMatch(/^bytes=\d+-\d+$/);
      expect(apart.length).toBeLessThan(parallel);
      // who left takes the stretch along
      await Promise.all(apart.map(({ closed }) => closed));
      const total = registry.requests.all.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
      expect(total).toBeLessThanOrEqual(size + apart.length * chunk);
      expectWhole(await client.get(path), blob);
    },
    30_000,
  );
});

describe('an origin that refuses ranges', () => {
  test.each(['ignore', 400, 416, 501] as const)('does not matter to the client: %s', async (ranges) => {
    const { blob, path } = publish(6 * MB);
    registry.on({ path }, { ranges, rate: 6 * MB });
    const fill = client.open(path);
    await fill.firstByte;
    const late = client.open(path, { range: 'bytes=6000000-6000099' });
    const several = client.open(path, { range: 'bytes=0-9,6000000-6000009' });
    expectRange(await late.done, blob, 6_000_000, 6_000_100);
    const { headers, body } = await several.done;
    const parts = parseMultipart(headers['content-type'], body).map(({ bytes }) => bytes);
    expect(parts).toEqual([toBuffer(blob, 0, 10), toBuffer(blob, 6_000_000, 6_000_010)]);
    expectWhole(await fill.done, blob);
    expect(registry.requests.find({ path }).filter((one) => one.headers.range === undefined)).toHaveLength(1);
  });
});
