import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { content, endWith, openStored, readFrom, storeContent, type Content } from './content.fixture.ts';
import type { OpenHarness, StoreHarness } from './store.contract.ts';
import type { ByteSource, PartialObject } from './store.ts';

/** Large enough that objects are not simply held in memory. */
const MAX = 1_000_000;
const UNAVAILABLE = { code: 'STORE_UNAVAILABLE' };

/** Whole, partial and promised bytes never go beyond what a store may take. */
export function boundsContract(name: string, open: OpenHarness): void {
  describe(`${name}: bounds`, () => {
    let harness: StoreHarness;
    afterEach(() => harness.dispose());

    test('an object as large as the whole store fits, and one byte more does not', async () => {
      harness = await open(MAX);
      const { store } = harness;
      const small = content('small', 1000);
      await storeContent(store, small);
      const partial = await store.begin(content('large', MAX + 1).digest);
      await expect(partial.reserve(MAX + 1)).rejects.toMatchObject(UNAVAILABLE);
      await endWith(partial, () => partial.discard());
      expect(store.find(small.digest)).toBeDefined(); // nothing had to go for what could not come
      await storeContent(store, content('whole', MAX));
      expect(store.totals()).toEqual({ objects: 1, bytes: MAX });
    });

    test('an object of unknown size is refused where it grows beyond the whole store', async () => {
      harness = await open(MAX);
      const { store } = harness;
      const { bytes, digest } = content('unknown', MAX + 1);
      const partial = await store.begin(digest);
      for (let at = 0; at < MAX; at += 100_000) await partial.append(bytes.subarray(at, at + 100_000));
      await expect(partial.append(bytes.subarray(MAX))).rejects.toMatchObject(UNAVAILABLE);
      const buffer = Buffer.alloc(10);
      expect(partial.read(buffer, MAX - 10)).toBe(10);
      expect(buffer.equals(bytes.subarray(MAX - 10, MAX))).toBe(true);
      await endWith(partial, () => partial.discard());
      await storeContent(store, content('after', MAX));
    });

    test('what is being read stays, and what needs its room is refused', async () => {
      harness = await open(MAX);
      const { store } = harness;
      const pinned = content('pinned', 600_000);
      await storeContent(store, pinned);
      const source = await openStored(store, pinned.digest);
      for (let index = 0; index < 20; index += 1) await storeContent(store, content(`${index}`, 100_000));
      const partial = await store.begin(content('wants more', 500_000).digest);
      await expect(partial.reserve(500_000)).rejects.toMatchObject(UNAVAILABLE);
      await endWith(partial, () => partial.discard());
      expect(store.find(pinned.digest)).toBeDefined();
      expect((await readFrom(source)).equals(pinned.bytes)).toBe(true);
      source.close();
      await storeContent(store, content('fits now', 500_000));
    });

    test('reservations count from the moment they are made, and not beyond their end', async () => {
      harness = await open(MAX);
      const { store } = harness;
      const one = await store.begin(content('one', 1).digest);
      const other = await store.begin(content('other', 1).digest);
      await one.reserve(600_000);
      await expect(other.reserve(600_000)).rejects.toMatchObject(UNAVAILABLE);
      await endWith(one, () => one.discard());
      await other.reserve(600_000);
      await endWith(other, () => other.discard());
      await storeContent(store, content('whole', MAX));
    });

    test('parts that nobody fills go before any whole object', async () => {
      harness = await open(MAX);
      const { store } = harness;
      const [whole, part] = [content('whole', 500_000), content('part', 400_000)];
      await storeContent(store, whole);
      const partial = await store.begin(part.digest);
      await partial.reserve(400_000);
      await partial.append(part.bytes.subarray(0, 300_000));
      await endWith(partial, () => partial.keep());
      await storeContent(store, content('next', 400_000));
      expect(store.kept(part.digest)).toBe(0);
      expect(store.find(whole.digest)).toBeDefined();
      expect(await harness.bytesHeld()).toBe(900_000);
    });

    test('parts that nobody went on with for long are given up', async () => {
      harness = await open(MAX);
      const { store } = harness;
      const part = content('part', 400_000);
      const partial = await store.begin(part.digest);
      await partial.append(part.bytes.subarray(0, 300_000));
      await endWith(partial, () => partial.keep());
      store.dropKeptBefore(Date.now() - 60_000);
      expect(store.kept(part.digest)).toBe(300_000);
      store.dropKeptBefore(Date.now() + 1);
      expect(store.kept(part.digest)).toBe(0);
      expect(await harness.bytesHeld()).toBe(0);
    });

    test('whatever is done in whatever order, the bounds hold and readers get their bytes', async () => {
      let runs = 0;
      await fc.assert(
        fc.asyncProperty(fc.commands(commands(), { maxCommands: 40, size: 'max' }), async (sequence) => {
          runs += 1;
          harness = await open(MAX);
          try {
            await fc.asyncModelRun(() => ({ model: newModel(), real: harness }), sequence);
          } finally {
            await harness.dispose();
          }
        }),
        { numRuns: 60 },
      );
      expect(runs).toBeGreaterThan(0);
    }, 120_000);
  });
}

interface Reader {
  readonly of: Content;
  readonly source: ByteSource;
}

interface Filling {
  readonly of: Content;
  readonly partial: PartialObject;
  /** Undefined where the size was not said. */
  readonly reserved: number | undefined;
  /** The first of its digest, which the parts are kept for; others may be under way beside it. */
  readonly first: boolean;
}

interface Model {
  readonly fillings: Filling[];
  readonly readers: Reader[];
}

type Command = fc.AsyncCommand<Model, StoreHarness>;

const SIZES = [1, 50_000, 200_000, 333_333, 600_000, MAX];
const CONTENTS = SIZES.map((size, index) => content(`object ${index}`, size));

function newModel(): Model {
  return { fillings: [], readers: [] };
}

function commands(): fc.Arbitrary<Command>[] {
  const which = fc.integer({ min: 0, max: CONTENTS.length - 1 });
  return [
    fc.tuple(which, fc.boolean()).map(([index, known]) => beginning(index, known)),
    fc.nat().map((pick) => onFilling('append', pick, append)),
    fc.nat().map((pick) => onFilling('finish', pick, finish)),
    fc
      .nat()
      .map((pick) =>
        onFilling('keep', pick, ({ partial }, model) => leave(model, partial, () => partial.keep())),
      ),
    fc
      .nat()
      .map((pick) =>
        onFilling('discard', pick, ({ partial }, model) => leave(model, partial, () => partial.discard())),
      ),
    which.map((index) =>
      step(`open ${index}`, async (model, { store }) => {
        const of = at(CONTENTS, index);
        const source = await store.open(of.digest);
        expect(source === undefined).toBe(store.find(of.digest) === undefined);
        if (source !== undefined) model.readers.push({ of, source });
      }),
    ),
    fc.nat().map((pick) =>
      step('close', (model) => {
        const [reader] = model.readers.splice(pick % Math.max(1, model.readers.length), 1);
        reader?.source.close();
        return Promise.resolve();
      }),
    ),
    which.map((index) => step(`remove ${index}`, (_, { store }) => store.remove(at(CONTENTS, index).digest))),
    fc.constant(
      step('reopen', async (model, real) => {
        for (const { source } of model.readers.splice(0)) source.close();
        for (const { partial } of model.fillings.splice(0)) await endWith(partial, () => partial.keep());
        await real.reopen();
      }),
    ),
  ];
}

function step(name: string, run: (model: Model, real: StoreHarness) => Promise<void>): Command {
  return {
    check: () => true,
    async run(model, real) {
      await run(model, real);
      await checkAll(model, real);
    },
    toString: () => name,
  };
}

function onFilling(
  name: string,
  pick: number,
  run: (filling: Filling, model: Model) => Promise<void>,
): Command {
  return {
    ...step(name, (model) => run(at(model.fillings, pick % model.fillings.length), model)),
    check: ({ fillings }) => fillings.length > 0,
  };
}

function beginning(index: number, known: boolean): Command {
  return step(`begin ${index} ${known ? 'with' : 'without'} its size`, async (model, { store }) => {
    const of = at(CONTENTS, index);
    const kept = store.kept(of.digest);
    const first = !model.fillings.some((other) => other.of === of && other.first);
    const partial = await store.begin(of.digest);
    expect(partial.length).toBe(kept);
    try {
      if (known) await partial.reserve(of.bytes.length);
      model.fillings.push({ of, partial, reserved: known ? of.bytes.length : undefined, first });
    } catch (error) {
      expect(error).toMatchObject(UNAVAILABLE);
      await endWith(partial, () => partial.discard());
    }
  });
}

async function append({ of, partial }: Filling, model: Model): Promise<void> {
  try {
    await partial.append(of.bytes.subarray(partial.length, partial.length + 70_000));
  } catch (error) {
    expect(error).toMatchObject(UNAVAILABLE);
    await leave(model, partial, () => partial.discard());
  }
}

async function finish({ of, partial }: Filling, model: Model): Promise<void> {
  try {
    await partial.append(of.bytes.subarray(partial.length));
  } catch (error) {
    expect(error).toMatchObject(UNAVAILABLE);
    return leave(model, partial, () => partial.discard());
  }
  await leave(model, partial, () => partial.publish(undefined));
}

async function leave(model: Model, partial: PartialObject, end: () => Promise<unknown>): Promise<void> {
  model.fillings.splice(
    model.fillings.findIndex((filling) => filling.partial === partial),
    1,
  );
  await endWith(partial, end);
}

async function checkAll({ fillings, readers }: Model, harness: StoreHarness): Promise<void> {
  const { store } = harness;
  const promised = fillings.reduce((sum, { partial, reserved }) => sum + (reserved ?? partial.length), 0);
  const { bytes, objects } = store.totals();
  const stored = CONTENTS.filter(({ digest }) => store.find(digest) !== undefined);
  expect(objects).toBe(stored.length);
  expect(bytes).toBe(stored.reduce((sum, of) => sum + of.bytes.length, 0));
  expect(bytes + promised).toBeLessThanOrEqual(MAX);
  // what was removed is held for its readers, and that is no fault of the bounds
  expect(await harness.bytesHeld()).toBeLessThanOrEqual(MAX);
  for (const { of, source } of readers) {
    const buffer = Buffer.alloc(500);
    const position = Math.floor(of.bytes.length / 2);
    const length = await source.read(buffer, position);
    expect(buffer.subarray(0, length).equals(of.bytes.subarray(position, position + 500))).toBe(true);
  }
  for (const { of, partial, first } of fillings) {
    if (first) expect(store.kept(of.digest)).toBe(0);
    const buffer = Buffer.alloc(100);
    const length = partial.length === 0 ? 0 : partial.read(buffer, 0);
    expect(buffer.subarray(0, length).equals(of.bytes.subarray(0, length))).toBe(true);
  }
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`nothing at ${index}`);
  return found;
}
