import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { content, readFrom } from './content.fixture.ts';
import { createFedSource, createMemoryPartial, DISK_FAULT, reset } from './fill.fixture.ts';
import { startFill, type FillOptions } from './fill.ts';

const STALL = 5_000;
const { bytes, digest } = content('filled', 1_000);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function started(options: Partial<FillOptions> = {}, initial?: Buffer) {
  const upstream = createFedSource();
  const partial = createMemoryPartial(digest, initial);
  const fill = startFill({
    source: upstream.source,
    begin: () => Promise.resolve(partial),
    kept: initial?.length ?? 0,
    stallTimeout: STALL,
    abandoned: 'finish',
    ...options,
  });
  return { upstream, partial, fill };
}

const soon = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

describe('a fill', () => {
  test('gives each reader what is there, and the last byte only when all is verified', async () => {
    const { upstream, fill } = started();
    const body = upstream.answer({ size: 1_000 });
    expect(await fill.opened).toEqual({ size: 1_000, mediaType: undefined });
    const reader = fill.reader();
    body.push(bytes.subarray(0, 600));
    await soon();
    expect(fill.length).toBe(600);
    body.push(bytes.subarray(600));
    await soon();
    expect(fill.length).toBe(600);
    body.end();
    await fill.done;
    expect(fill.length).toBe(1_000);
    expect((await readFrom(reader, 0, 100)).equals(bytes)).toBe(true);
    reader.close();
  });

  test('asks again from where it stood when upstream breaks, stalls or ends too early', async () => {
    const { upstream, fill } = started();
    const breaks = [
      () => upstream.bodies.at(-1)?.fail(reset()),
      () => undefined, // it stalls
      () => upstream.bodies.at(-1)?.end(),
    ];
    for (const [index, end] of breaks.entries()) {
      expect(upstream.asked).toMatchObject([{ offset: index * 100 }]);
      upstream
        .answer({ start: index * 100, size: 1_000 })
        .push(bytes.subarray(index * 100, index * 100 + 100));
      await soon();
      end();
      await vi.advanceTimersByTimeAsync(STALL + 200);
    }
    // an origin without ranges begins at 0
    const last = upstream.answer({ start: 0, size: 1_000 });
    last.push(bytes);
    last.end();
    expect(await fill.done).toMatchObject({ digest, size: 1_000 });
  });

  test('is given up after breaks in a row without a byte, and what came is kept', async () => {
    const { upstream, partial, fill } = started();
    upstream.answer({ size: 1_000 }).push(bytes.subarray(0, 100));
    await soon();
    upstream.bodies[0]?.fail(reset());
    for (const pause of [100, 400, 1_600]) {
      await vi.advanceTimersByTimeAsync(pause);
      upstream.refuse(new BreakwaterError('UPSTREAM_CONNECT', 'refused'));
    }
    await expect(fill.done).rejects.toMatchObject({ code: 'UPSTREAM_CONNECT' });
    expect(partial).toMatchObject({ ends: ['keep'], released: 1, length: 100 });
  });

  test('does not end the process where the disk fails before upstream answers', async () => {
    const unhandled = vi.fn<(reason: unknown) => void>();
    process.on('unhandledRejection', unhandled);
    const { upstream, fill } = started({ begin: () => Promise.reject(DISK_FAULT) });
    vi.useRealTimers();
    await new Promise((resolve) => void setTimeout(resolve, 20));
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    const body = upstream.answer({ size: 1_000 });
    await expect(fill.done).rejects.toBe(DISK_FAULT);
    expect(body.cancelled).toBe(true);
  });

  test.each([
    ['all of it', 1_000],
    ['more than all of it', 1_200],
    ['a part', 400],
  ])('shows of %s that was kept nothing unverified at its end', async (_, length) => {
    const { upstream, partial, fill } = started({}, Buffer.alloc(length, 'x'));
    const body = upstream.answer({ start: Math.min(length, 1_000), size: 1_000 });
    await soon();
    expect(fill.length).toBe(Math.min(length, 1_000) - 1);
    const reader = fill.reader();
    body.push(bytes.subarray(length));
    body.end();
    await expect(fill.done).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(readFrom(reader)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    reader.close();
    expect(partial).toMatchObject({ ends: ['discard'], released: 1 });
  });

  test('asks again where the disk has fewer bytes than it kept', async () => {
    const { upstream, fill } = started({ kept: 400 }, bytes.subarray(0, 100));
    upstream.answer({ start: 400, size: 1_000 }).push(bytes.subarray(400));
    await vi.advanceTimersByTimeAsync(100);
    expect(upstream.bodies[0]?.cancelled).toBe(true);
    expect(upstream.asked).toMatchObject([{ offset: 100 }]);
    const body = upstream.answer({ start: 100, size: 1_000 });
    body.push(bytes.subarray(100));
    body.end();
    expect(await fill.done).toMatchObject({ digest });
  });

  test('is whole where only a proper end is missing', async () => {
    const { upstream, fill } = started();
    const body = upstream.answer({ size: 1_000 });
    body.push(bytes);
    await soon();
    body.fail(reset());
    expect(await fill.done).toMatchObject({ digest });
    expect(upstream.asked).toEqual([]);
  });

  test('that was verified is whole for its readers even where it cannot be published', async () => {
    const { upstream, partial, fill } = started();
    partial.failing = 'publish';
    const body = upstream.answer(); // without a size
    await soon();
    const reader = fill.reader();
    body.push(bytes);
    body.end();
    await expect(fill.done).rejects.toBe(DISK_FAULT);
    expect((await readFrom(reader, 0, 64)).equals(bytes)).toBe(true);
    reader.close();
    expect(partial).toMatchObject({ ends: ['discard'], released: 1 });
  });

  test('that nobody reads finishes, or stops to be gone on with', async () => {
    for (const abandoned of ['finish', 'keep'] as const) {
      const { upstream, partial, fill } = started({ abandoned });
      const body = upstream.answer({ size: 1_000 });
      await soon();
      const reader = fill.reader();
      body.push(bytes.subarray(0, 100));
      await soon();
      reader.close();
      await soon();
      expect(body.cancelled).toBe(abandoned === 'keep');
      body.push(bytes.subarray(100));
      body.end();
      await fill.done.catch(() => undefined);
      expect(partial.ends).toEqual([abandoned === 'keep' ? 'keep' : 'publish']);
    }
  });

  test.each([1_000, undefined])(
    'that was left and is joined at the same moment goes on (size %s)',
    async (size) => {
      const { upstream, partial, fill } = started({ abandoned: 'keep' });
      upstream.answer({ size, endsQuietly: true }).push(bytes.subarray(0, 100));
      await soon();
      fill.reader().close();
      const second = fill.reader();
      await vi.advanceTimersByTimeAsync(100);
      expect(upstream.asked).toMatchObject([{ offset: 100 }]);
      const body = upstream.answer({ start: 100, size });
      body.push(bytes.subarray(100));
      body.end();
      expect((await readFrom(second)).equals(bytes)).toBe(true);
      second.close();
      expect(partial.ends).toEqual(['publish']);
    },
  );

  test('tells nobody of its failure before it is over, so that who tries again finds another', async () => {
    const { upstream, partial, fill } = started();
    const discarding = Promise.withResolvers<void>();
    partial.discard = () => discarding.promise;
    const body = upstream.answer({ size: 1_000 });
    await soon();
    body.push(Buffer.alloc(1_001));
    await soon();
    const told = vi.fn<(error: unknown) => void>();
    Promise.resolve(fill.reader().read(Buffer.alloc(10), 0)).catch(told);
    await soon();
    expect(told).not.toHaveBeenCalled();
    discarding.resolve();
    await expect(fill.done).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    expect(told).toHaveBeenCalledWith(expect.objectContaining({ code: 'SIZE_MISMATCH' }));
  });

  test('never reads a file that it has closed', async () => {
    const { upstream, partial, fill } = started();
    const body = upstream.answer({ size: 1_000 });
    body.push(bytes);
    body.end();
    await fill.done;
    expect(partial.released).toBe(1);
    const late = fill.reader();
    expect(() => late.read(Buffer.alloc(10), 0)).toThrow(
      expect.objectContaining({ code: 'STORE_UNAVAILABLE' }),
    );
    late.close();
    expect(partial.released).toBe(1);
  });
});
