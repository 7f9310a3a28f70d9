import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { content } from '../store/content.fixture.ts';
import { createFedBody, createFedSource, reset } from '../store/fill.fixture.ts';
import type { FillBody } from '../store/fill.ts';
import { createDirectSource, type DirectSource } from './direct-source.ts';

const STALL = 1_000;
const SIZE = 2_000;
const { bytes } = content('direct', SIZE);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function readAll(source: DirectSource, room: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const buffer = Buffer.alloc(room);
    const length = await source.read(buffer);
    if (length === 0) return Buffer.concat(parts);
    parts.push(buffer.subarray(0, length));
  }
}

test('the bytes are exact from any place on, however chunks fall, bodies break and origins begin', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(SIZE - 1),
      fc.integer({ min: 1, max: SIZE }),
      fc.infiniteStream(fc.record({ chunk: fc.integer({ min: 0, max: 700 }), ranges: fc.boolean() })),
      async (start, room, steps) => {
        let broken = 0;
        const next = (): { chunk: number; ranges: boolean } =>
          steps.next().value ?? { chunk: 1, ranges: true };
        const source = createDirectSource(
          async (offset): Promise<FillBody> => {
            const from = next().ranges ? offset : 0;
            const body = createFedBody({ start: from, size: SIZE });
            let at = from;
            // each body brings at least one new byte, and then may break
            for (let count = 0; at < SIZE && (at <= offset || count < 3); count += 1) {
              const { chunk } = next();
              body.push(bytes.subarray(at, at + chunk));
              at = Math.min(SIZE, at + chunk);
            }
            if (at === SIZE) body.end();
            else {
              broken += 1;
              body.fail(reset());
            }
            return body;
          },
          start,
          SIZE,
          STALL,
        );
        expect((await readAll(source, room)).equals(bytes.subarray(start))).toBe(true);
        expect(broken).toBeLessThanOrEqual(SIZE);
        source.close();
      },
    ),
  );
  expect(vi.getTimerCount()).toBe(0);
});

test('an upstream that brings nothing three times in a row is given up', async () => {
  const upstream = createFedSource();
  const source = createDirectSource(upstream.source, 100, SIZE, STALL);
  const outcome = source.read(Buffer.alloc(10)).catch((error: unknown) => error);
  for (let attempt = 0; attempt < 4; attempt += 1) {
    expect(upstream.asked).toMatchObject([{ offset: 100 }]);
    upstream.answer({ start: 100, size: SIZE }).end();
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(await outcome).toMatchObject({ code: 'UPSTREAM_RESET' });
  expect(upstream.asked).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

test('a refusal is final at once', async () => {
  const upstream = createFedSource();
  const reading = createDirectSource(upstream.source, 0, SIZE, STALL).read(Buffer.alloc(10));
  upstream.refuse(new BreakwaterError('DENIED', 'no'));
  await expect(reading).rejects.toMatchObject({ code: 'DENIED' });
});

test('a stalled body is left for another one; a client that takes its time is no stall', async () => {
  const upstream = createFedSource();
  const source = createDirectSource(upstream.source, 0, SIZE, STALL);
  const first = source.read(Buffer.alloc(10));
  const body = upstream.answer({ size: SIZE });
  body.push(bytes.subarray(0, 10));
  expect(await first).toBe(10);
  await vi.advanceTimersByTimeAsync(STALL * 10);
  expect(body.cancelled).toBe(false);
  const second = source.read(Buffer.alloc(10));
  await vi.advanceTimersByTimeAsync(STALL * 2);
  expect(body.cancelled).toBe(true);
  expect(upstream.asked).toMatchObject([{ offset: 10 }]);
  upstream.answer({ start: 10, size: SIZE }).push(bytes.subarray(10, 20));
  expect(await second).toBe(10);
  source.close();
});

test('closing lets go of the body and of its watchdog', async () => {
  const upstream = createFedSource();
  const source = createDirectSource(upstream.source, 0, SIZE, STALL);
  const reading = source.read(Buffer.alloc(10));
  const body = upstream.answer({ size: SIZE });
  body.push(bytes.subarray(0, 100));
  await reading;
  source.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(body.cancelled).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});
