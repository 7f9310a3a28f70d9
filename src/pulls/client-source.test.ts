import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { content, readFrom } from '../store/content.fixture.ts';
import { createFedBody, DISK_FAULT, reset } from '../store/fill.fixture.ts';
import type { FillBody, FillSource } from '../store/fill.ts';
import type { ByteSource } from '../store/store.ts';
import { createClientSource, type ClientSourceOptions } from './client-source.ts';

const SIZE = 3_000;
const STALL = 1_000;
const { bytes } = content('object', SIZE);

interface FakeSource extends ByteSource {
  closed: number;
  growing: boolean;
  /** What happens at this position and beyond. */
  failAt: number;
  failure: Error | 'short';
}

/** A store's source that gives its bytes, now or in a moment, until it fails. */
function fakeSource(options: Partial<FakeSource> = {}, later = false): FakeSource {
  const source: FakeSource = {
    size: SIZE,
    growing: false,
    closed: 0,
    failAt: Infinity,
    failure: DISK_FAULT,
    read(buffer, position) {
      const read = (): number => {
        if (position < source.failAt)
          return bytes.copy(buffer, 0, position, Math.min(source.failAt, position + buffer.length));
        if (source.failure === 'short') return 0;
        throw source.failure;
      };
      return later ? Promise.resolve().then(read) : read();
    },
    close: () => void (source.closed += 1),
    ...options,
  };
  return source;
}

/** An upstream that gives the bytes from any offset on, in chunks, and records what it was asked. */
function fakeUpstream({ end = SIZE, chunk = 500, ranges = true, breaksAfter = Infinity } = {}) {
  const asked: number[] = [];
  const bodies: (FillBody & { readonly cancelled: boolean })[] = [];
  const source: FillSource = (offset) => {
    asked.push(offset);
    const start = ranges ? offset : 0;
    const body = createFedBody({ start, size: SIZE });
    bodies.push(body);
    const stop = Math.min(end, start + breaksAfter);
    for (let at = start; at < stop; at += chunk) body.push(bytes.subarray(at, Math.min(at + chunk, stop)));
    if (stop < end) body.fail(reset());
    else body.end();
    return Promise.resolve(body);
  };
  return { source, asked, bodies };
}

function client(options: Partial<ClientSourceOptions> & Pick<ClientSourceOptions, 'first'>): ByteSource {
  return createClientSource({
    upstream: () => Promise.reject(new Error('upstream must not be asked')),
    stretch: () => Promise.reject(new Error('no stretch is wanted')),
    isFarAhead: () => false,
    again: () => Promise.reject(new Error('it must not be tried again')),
    stallTimeout: STALL,
    ...options,
  });
}

describe('a store that fails', () => {
  test('at any byte, in any way, is left for upstream at that byte', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          failAt: fc.integer({ min: 0, max: SIZE - 1 }),
          start: fc.integer({ min: 0, max: SIZE - 1 }),
          room: fc.integer({ min: 1, max: SIZE }),
          chunk: fc.integer({ min: 1, max: SIZE }),
          breaksAfter: fc.integer({ min: 1, max: SIZE }),
          failure: fc.constantFrom(DISK_FAULT, 'short' as const),
          later: fc.boolean(),
          ranges: fc.boolean(),
          sizeKnown: fc.boolean(),
        }),
        async ({ failAt, start, room, failure, later, sizeKnown, ...options }) => {
          // a source without a size ends where it ends
          fc.pre(sizeKnown || failure !== 'short');
          const upstream = fakeUpstream({
            ...options,
            breaksAfter: options.ranges ? options.breaksAfter : Infinity,
          });
          const first = fakeSource({ failAt, failure, size: sizeKnown ? SIZE : undefined }, later);
          const source = client({ first, upstream: upstream.source });
          expect((await readFrom(source, start, room)).equals(bytes.subarray(start))).toBe(true);
          expect(upstream.asked[0]).toBe(Math.max(start, failAt));
          source.close();
          expect(first.closed).toBe(1);
        },
      ),
    );
  });

  test('is left for good, and each range of an answer of several gets its own bytes', async () => {
    const upstream = fakeUpstream();
    const source = client({ first: fakeSource({ failAt: 0 }), upstream: upstream.source });
    for (const [start, length] of [
      [1_000, 100],
      [1_100, 50],
      [2_000, 100],
      [10, 100],
    ] as const) {
      const buffer = Buffer.alloc(length);
      expect(await source.read(buffer, start)).toBe(length);
      expect(buffer.equals(bytes.subarray(start, start + length))).toBe(true);
    }
    expect(upstream.asked).toEqual([1_000, 2_000, 10]); // the second range goes on where the first ended
    source.close();
    expect(upstream.bodies.every(({ cancelled }) => cancelled)).toBe(true);
  });

  test('and an upstream that ends too early are a failure, never an end', async () => {
    const upstream = fakeUpstream({ end: 2_000 });
    const source = client({ first: fakeSource({ failAt: 500 }), upstream: upstream.source });
    await expect(readFrom(source)).rejects.toMatchObject({ code: 'UPSTREAM_RESET' });
    source.close();
  });

  test('and an upstream that refuses give the refusal', async () => {
    const refusal = new BreakwaterError('DENIED', 'no');
    const source = client({ first: fakeSource({ failAt: 500 }), upstream: () => Promise.reject(refusal) });
    await expect(readFrom(source)).rejects.toBe(refusal);
  });
});

describe('a fill that fails', () => {
  test('before the first byte is tried once more', async () => {
    const first = fakeSource({ failAt: 0, failure: reset(), growing: true }, true);
    const other = fakeSource();
    const again = vi.fn<ClientSourceOptions['again']>(() => Promise.resolve(other));
    const source = client({ first, again });
    expect((await readFrom(source)).equals(bytes)).toBe(true);
    expect(again).toHaveBeenCalledOnce();
    source.close();
    expect([first.closed, other.closed]).toEqual([1, 1]);
  });

  test('a second time is a failure', async () => {
    const failing = (): FakeSource => fakeSource({ failAt: 0, failure: reset() });
    const source = client({ first: failing(), again: () => Promise.resolve(failing()) });
    await expect(readFrom(source)).rejects.toMatchObject({ code: 'UPSTREAM_RESET' });
  });

  test.each([
    ['another size is found', 0, reset(), undefined],
    ['a byte was seen', 1, reset(), fakeSource()],
    ['it is final', 0, new BreakwaterError('DENIED', 'no'), fakeSource()],
  ])('is not tried again where %s', async (_, failAt, failure, other) => {
    const again = vi.fn<ClientSourceOptions['again']>(() => Promise.resolve(other));
    const source = client({ first: fakeSource({ failAt, failure }), again });
    await expect(readFrom(source)).rejects.toBe(failure);
    expect(again).toHaveBeenCalledTimes(failAt === 0 && failure.retryable ? 1 : 0);
  });

  test('is not tried again where a stretch gave the bytes that were seen', async () => {
    const failure = reset();
    const first = fakeSource({ failAt: 0, failure, growing: true });
    const source = client({
      first,
      isFarAhead: (position) => position === 1_000,
      stretch: (_, end) => Promise.resolve(fakeUpstream({ end: Math.min(end, 1_500) }).source),
    });
    const buffer = Buffer.alloc(500);
    expect(await source.read(buffer, 1_000)).toBe(500);
    await expect(Promise.resolve().then(() => source.read(buffer, 0))).rejects.toBe(failure);
  });
});

describe('a range far ahead of the fill', () => {
  const MIB = 1024 * 1024;
  const large = content('large', 20 * MIB).bytes;

  function ahead({ fails = Infinity, ranges = true } = {}) {
    const asked: (readonly [number, number])[] = [];
    const cached: number[] = [];
    let filled = 0;
    const first = fakeSource({
      size: large.length,
      growing: true,
      read(buffer, position) {
        cached.push(position);
        return Promise.resolve(large.copy(buffer, 0, position, position + buffer.length));
      },
    });
    const source = client({
      first,
      isFarAhead: (position) => position > filled,
      async stretch(start, end) {
        asked.push([start, end]);
        if (!ranges) return undefined;
        return async (offset) => {
          const body = createFedBody({ start: offset, size: large.length });
          const stop = Math.min(end, fails);
          for (let at = offset; at < stop; at += MIB) body.push(large.subarray(at, Math.min(at + MIB, stop)));
          if (stop === end) body.end();
          else body.fail(new BreakwaterError('DENIED', 'no more'));
          return body;
        };
      },
    });
    return { first, source, asked, cached, fillTo: (length: number) => void (filled = length) };
  }

  test('comes from upstream in stretches until the fill has caught up', async () => {
    const { source, asked, cached, fillTo } = ahead();
    const buffer = Buffer.alloc(MIB);
    const read = async (position: number): Promise<void> => {
      const length = await source.read(buffer, position);
      expect(buffer.subarray(0, length).equals(large.subarray(position, position + length))).toBe(true);
      expect(length).toBeGreaterThan(0);
    };
    const start = 2 * MIB + 1;
    for (let at = start; at < start + 16 * MIB; at += MIB) await read(at);
    expect(asked).toEqual([[start, start + 16 * MIB]]);
    await read(start + 16 * MIB); // still far ahead: another stretch
    expect(asked).toHaveLength(2);
    expect(cached).toEqual([]);
    fillTo(large.length);
    await read(start + 17 * MIB - 1); // the stretch goes on from elsewhere: the fill is there
    expect(cached).toEqual([start + 17 * MIB - 1]);
    source.close();
  });

  test('waits for the fill where upstream has no ranges, and does not ask again', async () => {
    const { source, asked, cached } = ahead({ ranges: false });
    expect((await readFrom(source, 10 * MIB, MIB)).equals(large.subarray(10 * MIB))).toBe(true);
    expect(asked).toHaveLength(1);
    expect(cached[0]).toBe(10 * MIB);
  });

  test('goes on from the fill, at the same byte, where the stretch fails', async () => {
    const { source, cached } = ahead({ fails: 12 * MIB });
    expect((await readFrom(source, 10 * MIB, MIB)).equals(large.subarray(10 * MIB))).toBe(true);
    expect(cached[0]).toBe(12 * MIB);
  });

  test('several of one answer get their own bytes, whichever way they lie', async () => {
    const { source } = ahead();
    for (const start of [15 * MIB, 15 * MIB + 500, 3 * MIB, 16 * MIB]) {
      const buffer = Buffer.alloc(100);
      expect(await source.read(buffer, start)).toBe(100);
      expect(buffer.equals(large.subarray(start, start + 100))).toBe(true);
    }
    source.close();
  });
});
