import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { content, endWith, openStored, readFrom, readStored, storeContent } from './content.fixture.ts';
import { boundsContract } from './bounds.contract.ts';
import type { PartialObject, Store } from './store.ts';

/** A store under test, and what only its implementation can tell. */
export interface StoreHarness {
  readonly store: Store;
  /** Closes the store and opens it again on what it left. */
  reopen(): Promise<void>;
  /** Bytes of whole and partial objects that are really there. */
  bytesHeld(): Promise<number>;
  dispose(): Promise<void>;
}

/** Opens an empty store that may take `maxSize` bytes. */
export type OpenHarness = (maxSize: number) => Promise<StoreHarness>;

const KIB = 1024;
const MAX = 4096 * KIB;

/** What every store must do, wherever it keeps its bytes. */
export function storeContract(name: string, open: OpenHarness): void {
  let harness: StoreHarness;

  async function opened(maxSize = MAX): Promise<Store> {
    harness = await open(maxSize);
    return harness.store;
  }
  afterEach(() => harness.dispose());

  describe(`${name}: objects`, () => {
    test('what was never stored is not there', async () => {
      const store = await opened();
      const { digest } = content('nothing', 10);
      expect(store.find(digest)).toBeUndefined();
      expect(await store.open(digest)).toBeUndefined();
      expect(store.kept(digest)).toBe(0);
      expect(store.totals()).toEqual({ objects: 0, bytes: 0 });
      await store.remove(digest);
    });

    test.each([
      ['sha256', 100_000],
      ['sha512', 100_000],
      ['sha256', 1],
      ['sha256', 0],
    ] as const)(
      'a published object is found, whole, and outlives the process (%s, %i bytes)',
      async (algorithm, size) => {
        const store = await opened();
        const blob = content('one', size, algorithm);
        const object = { digest: blob.digest, size, mediaType: 'application/example' };
        expect(await storeContent(store, blob, object.mediaType)).toMatchObject(object);
        for (let round = 0; round < 2; round += 1) {
          expect(harness.store.find(blob.digest)).toMatchObject(object);
          expect(harness.store.totals()).toEqual({ objects: 1, bytes: size });
          expect((await readStored(harness.store, blob.digest)).equals(blob.bytes)).toBe(true);
          await harness.reopen();
        }
      },
    );

    test('without an expected digest the bytes decide it', async () => {
      const store = await opened();
      const blob = content('unnamed', 3000);
      const partial = await store.begin(undefined);
      await partial.append(blob.bytes);
      const { digest } = await endWith(partial, () => partial.publish(undefined));
      expect(digest).toBe(blob.digest);
      expect((await readStored(store, digest)).equals(blob.bytes)).toBe(true);
    });

    test.each([
      50_000, // small enough to be held in memory
      500_000,
    ])('%i bytes are exact at any offset, into a buffer of any size', async (size) => {
      const store = await opened();
      const { bytes, digest } = content('offsets', size);
      await storeContent(store, { bytes, digest });
      const source = await openStored(store, digest);
      expect(source).toMatchObject({ size: bytes.length, growing: false });
      await fc.assert(
        fc.asyncProperty(
          fc.nat(size + 10_000),
          fc.integer({ min: 1, max: size + 20_000 }),
          async (at, room) => {
            const buffer = Buffer.alloc(room, 0xee);
            const length = await source.read(buffer, at);
            expect(length > 0).toBe(at < bytes.length);
            expect(buffer.subarray(0, length).equals(bytes.subarray(at, at + length))).toBe(true);
            expect(buffer.subarray(length).every((byte) => byte === 0xee)).toBe(true);
          },
        ),
        { numRuns: 200 },
      );
      source.close();
    });

    test('readers of one object are independent, and one may leave', async () => {
      const store = await opened();
      const { bytes, digest } = content('shared', 900_000);
      await storeContent(store, { bytes, digest });
      const sources = await Promise.all(Array.from({ length: 8 }, () => openStored(store, digest)));
      sources[0]?.close();
      sources[0]?.close(); // twice is once
      const read = await Promise.all(
        sources.slice(1).map(async (source, index) => readFrom(source, index * 1000, 1000 + index)),
      );
      for (const [index, got] of read.entries()) expect(got.equals(bytes.subarray(index * 1000))).toBe(true);
      for (const source of sources) source.close();
    });

    test('a reader keeps its bytes when the object is removed', async () => {
      const store = await opened();
      const { bytes, digest } = content('removed', 900_000);
      await storeContent(store, { bytes, digest });
      const source = await openStored(store, digest);
      await store.remove(digest);
      expect(store.find(digest)).toBeUndefined();
      expect(await store.open(digest)).toBeUndefined();
      expect(store.totals()).toEqual({ objects: 0, bytes: 0 });
      expect((await readFrom(source)).equals(bytes)).toBe(true);
      source.close();
      await storeContent(store, { bytes, digest });
      expect((await readStored(store, digest)).equals(bytes)).toBe(true);
    });

    test('an object that is removed and published at the same moment is there or not, never half', async () => {
      const store = await opened();
      const blob = content('contended', 20_000);
      for (let round = 0; round < 20; round += 1) {
        await storeContent(store, blob);
        await Promise.all([store.remove(blob.digest), storeContent(store, blob)]);
        expect((await readStored(store, blob.digest)).equals(blob.bytes)).toBe(true);
        const removal = store.remove(blob.digest);
        expect(store.find(blob.digest)).toBeUndefined();
        await removal;
        expect(store.totals().bytes).toBe(0);
      }
    });

    test('a media type is kept where there was none', async () => {
      const store = await opened();
      const blob = content('described', 100);
      store.describe(blob.digest, 'application/early');
      await storeContent(store, blob);
      expect(store.find(blob.digest)?.mediaType).toBeUndefined();
      store.describe(blob.digest, 'application/first');
      store.describe(blob.digest, 'application/second');
      await harness.reopen();
      expect(harness.store.find(blob.digest)).toMatchObject({ size: 100, mediaType: 'application/first' });
    });
  });

  describe(`${name}: partial objects`, () => {
    test('what was appended can be read at once, and until it is released', async () => {
      const store = await opened();
      const { bytes, digest } = content('growing', 10_000);
      const partial = await store.begin(digest);
      expect(partial.length).toBe(0);
      for (let at = 0; at < bytes.length; at += 1000) {
        await partial.append(bytes.subarray(at, at + 1000));
        expect(partial.length).toBe(at + 1000);
        expect(readPartial(partial, 0).equals(bytes.subarray(0, at + 1000))).toBe(true);
      }
      expect(store.find(digest)).toBeUndefined();
      partial.verify();
      await partial.publish(undefined);
      await store.remove(digest);
      expect(readPartial(partial, 5000).equals(bytes.subarray(5000))).toBe(true);
      partial.release();
    });

    test.each(['sha256', 'sha512'] as const)(
      'bytes of another digest are never stored (%s)',
      async (algorithm) => {
        const store = await opened();
        const { bytes, digest } = content('expected', 10_000, algorithm);
        const wrong = Buffer.from(bytes);
        wrong[9_999] = (wrong[9_999] ?? 0) ^ 1;
        const partial = await store.begin(digest);
        await partial.append(wrong);
        expect(() => partial.verify()).toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH' }));
        await expect(partial.publish(undefined)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
        await endWith(partial, () => partial.discard());
        expect(store.find(digest)).toBeUndefined();
        expect(await store.open(digest)).toBeUndefined();
        expect(store.kept(digest)).toBe(0);
        expect(store.totals()).toEqual({ objects: 0, bytes: 0 });
        expect(await harness.bytesHeld()).toBe(0);
        await storeContent(store, { bytes, digest });
      },
    );

    test('two that are begun for one digest at once do not disturb each other', async () => {
      const store = await opened();
      const { bytes, digest } = content('twice', 10_000);
      const [one, other] = await Promise.all([store.begin(digest), store.begin(digest)]);
      for (let at = 0; at < bytes.length; at += 2500) {
        await one.append(bytes.subarray(at, at + 2500));
        await other.append(bytes.subarray(at, at + 2500));
      }
      await Promise.all([one, other].map((partial) => endWith(partial, () => partial.publish(undefined))));
      expect(store.totals()).toEqual({ objects: 1, bytes: 10_000 });
      expect((await readStored(store, digest)).equals(bytes)).toBe(true);
      expect(await harness.bytesHeld()).toBe(10_000);
    });

    test('one that is begun while another is being discarded is its own', async () => {
      const store = await opened();
      const { bytes, digest } = content('again', 10_000);
      const first = await store.begin(digest);
      await first.append(Buffer.alloc(5000));
      const discarded = endWith(first, () => first.discard());
      const second = await store.begin(digest);
      expect(second.length).toBe(0);
      await second.append(bytes);
      await discarded;
      await endWith(second, () => second.publish(undefined));
      expect((await readStored(store, digest)).equals(bytes)).toBe(true);
    });

    test.each([
      ['sha256', false],
      ['sha256', true],
      ['sha512', true],
    ] as const)('what was kept is gone on with (%s, reopened: %s)', async (algorithm, reopened) => {
      await opened();
      const { bytes, digest } = content('kept', 30_000, algorithm);
      for (const [start, end] of [
        [0, 10_000],
        [10_000, 20_001],
      ] as const) {
        const partial = await harness.store.begin(digest);
        expect(partial.length).toBe(start);
        expect(harness.store.kept(digest)).toBe(0); // somebody has it
        await partial.append(bytes.subarray(start, end));
        await endWith(partial, () => partial.keep());
        if (reopened) await harness.reopen();
        expect(harness.store.kept(digest)).toBe(end);
        expect(harness.store.find(digest)).toBeUndefined();
      }
      const last = await harness.store.begin(digest);
      expect(readPartial(last, 0).equals(bytes.subarray(0, 20_001))).toBe(true);
      await last.append(bytes.subarray(20_001));
      await endWith(last, () => last.publish(undefined));
      expect((await readStored(harness.store, digest)).equals(bytes)).toBe(true);
      expect(harness.store.kept(digest)).toBe(0);
      expect(await harness.bytesHeld()).toBe(30_000);
    });

    test('what has no name cannot be gone on with, so it is not kept', async () => {
      const store = await opened();
      const partial = await store.begin(undefined);
      await partial.append(Buffer.alloc(1000));
      await endWith(partial, () => partial.keep());
      expect(await harness.bytesHeld()).toBe(0);
    });
  });

  boundsContract(name, open);
}

function readPartial(partial: PartialObject, start: number): Buffer {
  const buffer = Buffer.alloc(partial.length - start);
  for (let at = 0; at < buffer.length;) at += partial.read(buffer.subarray(at), start + at);
  return buffer;
}
