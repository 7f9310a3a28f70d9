import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { content } from './content.fixture.ts';
import {
  createFedSource,
  createMemoryPartial,
  reset,
  type FedBody,
  type FedSource,
  type MemoryPartial,
} from './fill.fixture.ts';
import { startFill, type Fill } from './fill.ts';
import type { ByteSource, PartialObject } from './store.ts';

const SIZE = 1_000;
const STALL = 5_000;
const { bytes: RIGHT, digest: DIGEST } = content('the object', SIZE);

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);

beforeEach(() => {
  vi.useFakeTimers();
  process.on('unhandledRejection', onUnhandled);
});
afterEach(() => {
  vi.useRealTimers();
  process.off('unhandledRejection', onUnhandled);
});

interface Reader {
  readonly source: ByteSource;
  /** It joined when the fill was over and nobody read any more. */
  readonly late: boolean;
  position: number;
  reading: boolean;
  /** How it ended: what it threw, or `'end'`. */
  over: unknown;
  closed: boolean;
}

interface World {
  readonly upstream: FedSource;
  readonly partial: MemoryPartial;
  readonly begun: PromiseWithResolvers<PartialObject>;
  readonly sizeKnown: boolean;
  readonly quiet: boolean;
  readonly fill: Fill;
  readonly readers: Reader[];
  readonly settled: { opened: number; done: number; stored: boolean };
  /** Where the newest body stands in the object. */
  at: number;
  /** Where in the object the furthest byte was that upstream sent. */
  reached: number;
  /** The disk has failed to give bytes back. */
  readsFailed: boolean;
  isBegun: boolean;
}

interface Start {
  readonly sizeKnown: boolean;
  readonly kept: number;
  /** The bytes that are really there may be fewer. */
  readonly found: number;
  readonly keptIsRight: boolean;
  readonly abandoned: 'finish' | 'keep';
  readonly quiet: boolean;
}

function newWorld(start: Start): World {
  unhandled.length = 0;
  const upstream = createFedSource();
  const initial = Buffer.from(RIGHT.subarray(0, Math.min(start.kept, start.found)));
  if (!start.keptIsRight) initial.fill(0);
  const partial = createMemoryPartial(DIGEST, initial);
  const begun = Promise.withResolvers<PartialObject>();
  const { kept, abandoned } = start;
  const fill = startFill({
    source: upstream.source,
    begin: () => begun.promise,
    kept,
    stallTimeout: STALL,
    abandoned,
  });
  const settled = { opened: 0, done: 0, stored: false };
  const count = (what: 'opened' | 'done') => (): void => void (settled[what] += 1);
  fill.opened.then(count('opened'), count('opened'));
  fill.done.then(() => {
    settled.stored = true;
    settled.done += 1;
  }, count('done'));
  return {
    upstream,
    partial,
    begun,
    ...start,
    fill,
    readers: [],
    settled,
    at: 0,
    reached: 0,
    readsFailed: false,
    isBegun: false,
  };
}

type Command = fc.AsyncCommand<World, World>;

function command(name: string, check: (world: World) => boolean, run: (world: World) => void): Command {
  return {
    check,
    async run(_, world) {
      run(world);
      await vi.advanceTimersByTimeAsync(0);
      invariants(world);
    },
    toString: () => name,
  };
}

function passing(time: number): Command {
  return {
    check: () => true,
    async run(_, world) {
      await vi.advanceTimersByTimeAsync(time);
      invariants(world);
    },
    toString: () => `${time} ms pass`,
  };
}

const body = ({ upstream }: World): FedBody | undefined => upstream.bodies.at(-1);
const isFlowing = (world: World): boolean => body(world)?.cancelled === false;
const isAsked = ({ upstream }: World): boolean => upstream.asked.length > 0;
const isOpened = ({ upstream }: World): boolean => upstream.bodies.length > 0;
const idle = ({ readers }: World): Reader[] =>
  readers.filter(({ reading, over, closed }) => !reading && over === undefined && !closed);
const pickIdle = (world: World, pick: number): Reader | undefined =>
  idle(world)[pick % Math.max(1, idle(world).length)];

function answer(world: World, start: number, size = SIZE): void {
  world.upstream.answer({ start, size: world.sizeKnown ? size : undefined, endsQuietly: world.quiet });
  world.at = start;
}

function send(world: World, length: number, wrong: boolean): void {
  const chunk = Buffer.from(RIGHT.subarray(world.at, world.at + length));
  const padded = Buffer.concat([chunk, Buffer.alloc(length - chunk.length, 'x')]);
  if (wrong) padded[0] = (padded[0] ?? 0) ^ 1;
  body(world)?.push(padded);
  world.at += length;
  world.reached = Math.max(world.reached, world.at);
}

/** One read; its outcome is checked whenever it comes. */
function read(world: World, reader: Reader, room: number): void {
  const buffer = Buffer.alloc(room, 0xee);
  const { position } = reader;
  reader.reading = true;
  const onLength = (length: number): void => {
    reader.reading = false;
    // what upstream sent is what a reader sees: not a byte more, none made up
    expect(buffer.subarray(0, length).equals(world.partial.bytes.subarray(position, position + length))).toBe(
      true,
    );
    expect(buffer.subarray(length).every((byte) => byte === 0xee)).toBe(true);
    reader.position += length;
    const isRight = world.partial.bytes.equals(RIGHT);
    if (length === 0) {
      reader.over = 'end';
      expect(isRight && position >= SIZE).toBe(true);
    }
    // the last byte of an object is seen only where all of it was verified
    const whole = world.sizeKnown ? SIZE : Math.max(world.reached, world.partial.bytes.length);
    if (reader.position >= whole) expect(isRight).toBe(true);
  };
  const onError = (error: unknown): void => {
    reader.reading = false;
    reader.over = error;
    expect(error).toBeInstanceOf(BreakwaterError);
    expect(error).not.toMatchObject({ code: 'INTERNAL' });
  };
  try {
    const result = reader.source.read(buffer, position);
    if (typeof result === 'number') onLength(result);
    // a check that fails there is found among the rejections that nobody handled
    else void result.then(onLength, onError);
  } catch (error) {
    onError(error);
  }
}

function join(world: World): void {
  const source = world.fill.reader();
  world.readers.push({
    source,
    late: world.partial.released > 0,
    position: 0,
    reading: false,
    over: undefined,
    closed: false,
  });
}

function invariants({ partial, readers, settled, isBegun }: World): void {
  expect(settled.opened).toBeLessThanOrEqual(1);
  expect(settled.done).toBeLessThanOrEqual(1);
  expect(partial.ends.length).toBeLessThanOrEqual(1);
  if (partial.released > 0) expect(settled.done).toBe(1);
  if (settled.stored) expect(partial.bytes.equals(RIGHT)).toBe(true);
  const nobody = readers.every(({ closed }) => closed);
  expect(partial.released).toBe(isBegun && settled.done === 1 && nobody ? 1 : Math.min(partial.released, 1));
  if (unhandled.length > 0) throw unhandled[0];
}

const commands: fc.Arbitrary<Command>[] = [
  fc.constant(
    command(
      'the store begins',
      ({ isBegun }) => !isBegun,
      (world) => {
        world.isBegun = true;
        world.begun.resolve(world.partial);
      },
    ),
  ),
  fc.constant(
    command('upstream answers from where it was asked', isAsked, (world) =>
      answer(world, world.upstream.asked[0]?.offset ?? 0),
    ),
  ),
  fc.constant(command('upstream answers from 0', isAsked, (world) => answer(world, 0))),
  fc.constant(
    command(
      'upstream answers with another size',
      (world) => isAsked(world) && isOpened(world),
      (world) => answer(world, 0, SIZE + 1),
    ),
  ),
  fc
    .constantFrom('UPSTREAM_CONNECT', 'UPSTREAM_NOT_FOUND', 'UNAUTHORIZED')
    .map((code) =>
      command(`upstream refuses: ${code}`, isAsked, ({ upstream }) =>
        upstream.refuse(new BreakwaterError(code, 'no')),
      ),
    ),
  ...[1, 2, 3].map(() =>
    fc.integer({ min: 1, max: SIZE / 2 }).map((length) =>
      command(
        `upstream sends ${length}`,
        (world) => isFlowing(world) && world.at + length <= SIZE,
        (world) => send(world, length, false),
      ),
    ),
  ),
  fc.constant(
    command(
      'upstream sends all that is left',
      (world) => isFlowing(world) && world.at < SIZE,
      (world) => {
        send(world, SIZE - world.at, false);
        body(world)?.end();
      },
    ),
  ),
  fc.constant(
    command(
      'upstream sends a wrong byte',
      (world) => isFlowing(world) && world.at < SIZE,
      (world) => send(world, 1, true),
    ),
  ),
  fc.constant(
    command('upstream sends too much', isFlowing, (world) =>
      send(world, SIZE - Math.min(SIZE, world.at) + 1, false),
    ),
  ),
  fc.constant(command('upstream ends', isFlowing, (world) => body(world)?.end())),
  fc.constant(command('upstream breaks', isFlowing, (world) => body(world)?.fail(reset()))),
  fc.integer({ min: 1, max: STALL * 2 }).map(passing),
  fc.constantFrom('reserve', 'append', 'read', 'publish', undefined).map((what) =>
    command(
      `the store fails: ${what}`,
      () => true,
      (world) => {
        world.readsFailed ||= what === 'read';
        world.partial.failing = what;
      },
    ),
  ),
  ...[1, 2].map(() => fc.constant(command('a reader joins', isOpened, join))),
  ...[1, 2, 3].map(() =>
    fc.tuple(fc.nat(), fc.integer({ min: 1, max: SIZE })).map(([pick, room]) =>
      command(
        `a reader reads ${room}`,
        (world) => idle(world).length > 0,
        (world) => {
          const reader = pickIdle(world, pick);
          if (reader !== undefined) read(world, reader, room);
        },
      ),
    ),
  ),
  fc.nat().map((pick) =>
    command(
      'a reader leaves',
      (world) => idle(world).length > 0,
      (world) => {
        const reader = pickIdle(world, pick);
        if (reader === undefined) return;
        reader.closed = true;
        reader.source.close();
      },
    ),
  ),
];

/** Lets the fill come to its end, and all readers to theirs. */
async function finish(world: World): Promise<void> {
  if (!world.isBegun) {
    world.isBegun = true;
    world.begun.resolve(world.partial);
  }
  for (let round = 0; round < 200 && world.settled.done === 0; round += 1) {
    await vi.advanceTimersByTimeAsync(STALL);
    if (world.upstream.asked.length > 0) answer(world, 0);
    else if (isFlowing(world) && world.at < SIZE) send(world, SIZE - world.at, false);
    else body(world)?.end();
  }
  await vi.advanceTimersByTimeAsync(STALL);
  expect(world.settled).toMatchObject({ opened: 1, done: 1 });
  for (const reader of world.readers.filter(({ closed }) => !closed)) {
    expect(reader.reading).toBe(false); // nobody waits for a fill that is over
    while (reader.over === undefined) {
      read(world, reader, 300);
      await vi.advanceTimersByTimeAsync(0);
    }
    // what was stored was read to its end, unless the file was closed or failed before
    const isCut = reader.late || world.readsFailed;
    expect(reader.over === 'end' || isCut || !world.settled.stored).toBe(true);
    reader.closed = true;
    reader.source.close();
    reader.source.close();
  }
  expect(world.partial.ends.length).toBe(1);
  expect(world.partial.released).toBe(1);
  expect(world.upstream.bodies.slice(0, -1).every(({ cancelled }) => cancelled)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
  invariants(world);
}

test('whatever upstream, the store and the readers do, each reader sees the exact bytes in order, or a failure', async () => {
  const starts = fc.record({
    sizeKnown: fc.boolean(),
    kept: fc.constantFrom(0, 0, 1, 400, SIZE),
    found: fc.constantFrom(SIZE, SIZE, 100, 0),
    keptIsRight: fc.boolean(),
    abandoned: fc.constantFrom('finish' as const, 'keep' as const),
    quiet: fc.boolean(),
  });
  const ends = { stored: 0, failed: 0 };
  await fc.assert(
    fc.asyncProperty(
      starts,
      fc.commands(commands, { maxCommands: 60, size: 'max' }),
      async (start, sequence) => {
        const world = newWorld(start);
        await fc.asyncModelRun(() => ({ model: world, real: world }), sequence);
        await finish(world);
        ends[world.settled.stored ? 'stored' : 'failed'] += 1;
        ends[world.settled.stored ? 'stored' : 'failed'] += 1;
      },
    ),
    { numRuns: 1_500 },
  );
  expect(Math.min(ends.stored, ends.failed)).toBeGreaterThan(100);
}, 120_000);
