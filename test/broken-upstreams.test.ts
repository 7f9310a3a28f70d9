import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { bufferContent, randomBlob, sha256Of, type Blob } from './upstream/content.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import {
  blobPath,
  expectCut,
  expectError,
  expectRange,
  expectWhole,
  manifestPath,
} from './upstream/paths.ts';
import type { PullClient } from './upstream/pull-client.ts';
import type { Reply } from './upstream/reply.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startScriptedServer } from './upstream/scripted-server.ts';
import { createSignedUrls } from './upstream/signed-urls.ts';
import { wrongObjects } from './upstream/sound-store.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const SIZE = 600_000;
const NEVER = new Promise<void>(() => undefined);

let stage: Stage;
let registry: ScriptedRegistry;
let client: PullClient;
let count = 0;

beforeAll(async () => {
  stage = await startStage({ env: { PROXY_READ_TIMEOUT: '1s' } });
  ({ registry, client } = stage);
});

afterEach(() => registry.reset());

afterAll(() => stage.close());

function publish(size = SIZE): { blob: Blob; path: string } {
  count += 1;
  const repository = `broken/${count}`;
  const blob = randomBlob(repository, size);
  registry.put({ repository, blobs: [blob] });
  return { blob, path: blobPath(repository, blob) };
}

const ranges = (): (string | undefined)[] => registry.requests.find().map(({ headers }) => headers.range);
const sent = (): number => registry.requests.all.reduce((sum, { bytesSent }) => sum + bytesSent, 0);

describe('a body that is cut is gone on with where it stood (issue 3.3)', () => {
  test.each([0, 1, 300_000, SIZE - 1])('at byte %i', async (cutAt) => {
    const { blob, path } = publish();
    registry.on({ path }, { cutAt }, 1);
    expectWhole(await client.get(path), blob);
    expect(ranges()).toEqual([undefined, cutAt === 0 ? undefined : `bytes=${cutAt}-`]);
    expect(sent()).toBe(SIZE);
    await stage.proxy.stored(blob);
  });

  test('before its headers', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { cutAt: 'headers' }, 1);
    expectWhole(await client.get(path), blob);
    expect(ranges()).toEqual([undefined, undefined]);
  });

  test('again and again, as long as it comes on', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { cutAt: 50_000 }, 11);
    expectWhole(await client.get(path), blob);
    expect(ranges().slice(1)).toEqual(
      Array.from({ length: 11 }, (_, index) => `bytes=${(index + 1) * 50_000}-`),
    );
    expect(sent()).toBe(SIZE);
  });

  test('every client has the exact bytes, whenever it came', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { cutAt: 200_000 }, 2);
    const held = registry.hold({ path }, 100_000, { cutAt: 200_000 });
    const first = client.open(path);
    await first.reached(100_000);
    const second = client.open(path);
    const third = client.open(path, { range: 'bytes=150000-' });
    await second.reached(100_000);
    held.release();
    expectWhole(await first.done, blob);
    expectWhole(await second.done, blob);
    expectRange(await third.done, blob, 150_000, SIZE);
    expect(sent()).toBe(SIZE);
  });

  test('over TLS', async () => {
    await using own = await startStage({ tls: true });
    const blob = randomBlob('broken over TLS', SIZE);
    own.registry.put({ repository: 'tls', blobs: [blob] });
    own.registry.on({}, { cutAt: 300_000 }, 1);
    expectWhole(await own.client.get(blobPath('tls', blob)), blob);
    expect(own.registry.requests.count()).toBe(2);
  });

  test('with Content-Length missing, where only the end tells', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { cutAt: 300_000, contentLength: 'none' }, 1);
    const pulled = await client.get(path);
    expect(pulled).toMatchObject({ status: 200, complete: true, sha256: sha256Of(blob), bytes: SIZE });
  });

  test('a body that ends early in good order', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { endAt: 300_000 }, 1);
    expectWhole(await client.get(path), blob);
    expect(ranges()).toEqual([undefined, 'bytes=300000-']);
  });

  test('a body that stops, by a watchdog of its own', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { stall: { at: 200_000, until: NEVER } }, 1);
    expectWhole(await client.get(path), blob);
    expect(ranges()).toEqual([undefined, 'bytes=200000-']);
    expect(registry.requests.all[0]?.aborted).toBe(true);
  });

  test('a 5xx in between is passed over', async () => {
    const { blob, path } = publish();
    const replies: readonly Reply[] = [{ cutAt: 300_000 }, { status: 503 }, { status: 502 }];
    registry.on({ path }, (_, turn) => replies[turn] ?? {});
    expectWhole(await client.get(path), blob);
    expect(ranges()).toEqual([undefined, 'bytes=300000-', 'bytes=300000-', 'bytes=300000-']);
  });

  test.each(['ignore', 400, 416, 501] as const)(
    'an origin without ranges (%s) sends it all again',
    async (refusal) => {
      const { blob, path } = publish();
      registry.on({ path }, { ranges: refusal });
      registry.on({ path }, { cutAt: 300_000 }, 1);
      expectWhole(await client.get(path), blob);
      expect(ranges()[1]).toMatch(/^bytes=\d+-$/);
    },
  );

  test('a signed URL that has expired is replaced', async () => {
    await using cdn = await startScriptedServer();
    const signed = createSignedUrls(cdn, { uses: 1 });
    const { blob, path } = publish();
    registry.on({ path }, signed.redirect(blob));
    cdn.on({}, { cutAt: 250_000 }, 1);
    expectWhole(await client.get(path), blob);
    expect(registry.requests.find({ path })).toHaveLength(2);
    expect(cdn.requests.find().map(({ headers, status }) => [headers.range, status])).toEqual([
      [undefined, 200],
      ['bytes=250000-', 206],
    ]);
    expect(cdn.requests.all.reduce((sum, { bytesSent }) => sum + bytesSent, 0)).toBe(SIZE);
  });

  test('a manifest, too', async () => {
    const { manifest } = craftImage({ seed: 'broken manifest' });
    registry.put({ repository: 'broken/manifest', manifest, tags: ['1'] });
    const options = { headers: { accept: ANY_MANIFEST } };
    for (const reference of ['1', manifest] as const) {
      registry.on({ method: 'GET' }, { cutAt: 100 }, 1);
      expectWhole(await client.get(manifestPath('broken/manifest', reference), options), manifest);
    }
    expect(registry.requests.count()).toBeGreaterThan(1);
  });
});

describe('a reader that has no byte yet is retried on a new fetch', () => {
  test('where no byte came at first', async () => {
    const { blob, path } = publish();
    // more often than one fill tries
    registry.on({ path }, { cutAt: 0 }, 5);
    expectWhole(await client.get(path), blob);
    expect(registry.requests.count()).toBe(6);
  });

  test('where wrong bytes came, and none of them was its own', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { flipAt: 1000 }, 1);
    // the last byte is nobody's before all was verified
    expectRange(await client.get(path, { range: `bytes=${SIZE - 1}-` }), blob, SIZE - 1, SIZE);
    expect(registry.requests.count()).toBe(2);
  });
});

describe('what cannot be mended is cut, never padded, and never stored', () => {
  async function expectMended(path: string, blob: Blob): Promise<void> {
    expect(await stage.proxy.files('blobs')).not.toContain(blob.digest.slice('sha256:'.length));
    registry.reset();
    expectWhole(await client.get(path), blob);
    await stage.proxy.stored(blob);
  }

  const WRONG: readonly (readonly [string, Reply])[] = [
    ['a wrong byte at the start', { flipAt: 0 }],
    ['a wrong byte in the middle', { flipAt: 300_000 }],
    ['a wrong byte at the end', { flipAt: SIZE - 1 }],
    ['too short, with the length that fits', { body: randomBlob('x', SIZE - 1000) }],
    ['too long, with the length that fits', { body: randomBlob('x', SIZE + 1000) }],
    ['too short, chunked', { endAt: 300_000, contentLength: 'none' }],
    ['too long, chunked', { extra: 1000, contentLength: 'none' }],
    ['a Content-Length that is too small', { contentLength: SIZE - 1000 }],
    ['a Content-Length that is too large', { contentLength: SIZE + 1000, endAt: SIZE }],
    ['nothing at all', { body: bufferContent(Buffer.alloc(0)) }],
  ];

  test.each(WRONG)('%s', async (_name, reply) => {
    const { blob, path } = publish();
    registry.on({ path }, reply);
    const pulled = await client.get(path);
    expect(pulled.complete && pulled.status === 200).toBe(false);
    await expectMended(path, blob);
  });

  test('an upstream that breaks for good', async () => {
    const { blob, path } = publish();
    registry.on({ path }, (_, turn) => ({ cutAt: turn === 0 ? 300_000 : 'headers' }));
    const pulled = await client.get(path);
    expectCut(pulled, blob);
    expect(pulled.bytes).toBeGreaterThan(0);
    await expectMended(path, blob);
    // what was kept of it was not fetched again
    expect(ranges()).toEqual(['bytes=300000-']);
  });

  test('bytes that follow the announced length are nobody’s', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { extra: 1000 });
    expectWhole(await client.get(path), blob);
    expect(registry.requests.count()).toBe(1);
  });

  test('an upstream that gives no headers in time', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { holdHeaders: NEVER });
    expectError(await client.get(path), 504, 'UPSTREAM_TIMEOUT');
    expect(await stage.proxy.files('blobs')).not.toContain(blob.digest.slice('sha256:'.length));
  });
});

describe('headers of upstream that lie', () => {
  test('a Content-Encoding is not passed on with bytes that have none', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { headers: { 'content-encoding': 'gzip' } });
    const pulled = await client.get(path);
    expectWhole(pulled, blob);
    expect(pulled.headers['content-encoding']).toBeUndefined();
  });

  test('21 KB of them are no obstacle', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { padHeaders: 21 * 1024 });
    expectWhole(await client.get(path), blob);
    expect(registry.requests.count()).toBe(1);
  });

  test('lines that end with LF alone are read like others', async () => {
    // a host that limits is left alone for a while
    await using own = await startStage();
    const blob = randomBlob('bare LF', SIZE);
    own.registry.put({ repository: 'lf', blobs: [blob] });
    own.registry.on({}, { bareLf: true }, 1);
    expectWhole(await own.client.get(blobPath('lf', blob)), blob);
    own.registry.on({}, { status: 429, bareLf: true }, 1);
    expect(await own.client.get(blobPath('lf', randomBlob('other', 1)))).toMatchObject({ status: 429 });
  });

  test('a Docker-Content-Digest that is another does not matter to the bytes', async () => {
    const { blob, path } = publish();
    registry.on({ path }, { headers: { 'docker-content-digest': `sha256:${'0'.repeat(64)}` } });
    const pulled = await client.get(path);
    expectWhole(pulled, blob);
    expect(pulled.headers['docker-content-digest']).toBe(blob.digest);
  });
});

test('after all of this every object in the cache is what its name says', async () => {
  expect(await stage.proxy.files('blobs')).not.toEqual([]);
  expect(await wrongObjects(stage.proxy.cacheDir)).toEqual([]);
});
