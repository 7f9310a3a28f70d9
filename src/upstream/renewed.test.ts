import { beforeEach, describe, expect, test } from 'vitest';
import { createRenewed, type Renewed } from './renewed.ts';

const LIFETIME = 1000;

let time = 0;
let fetched = 0;
/** Settles the fetch under way; undefined where fetches settle at once. */
let gate: PromiseWithResolvers<void> | undefined;
let fails = false;
let failures: unknown[] = [];
let renewed: Renewed<string>;

beforeEach(() => {
  [time, fetched, gate, fails, failures] = [0, 0, undefined, false, []];
  renewed = createRenewed(
    async () => {
      fetched += 1;
      const value = `value ${fetched}`;
      await gate?.promise;
      if (fails) throw new Error('no value');
      return { value, lifetime: LIFETIME };
    },
    (thrown) => failures.push(thrown),
    () => time,
  );
});

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('a value that ends', () => {
  test('is fetched once for all that ask together, and kept', async () => {
    gate = Promise.withResolvers();
    const asked = [renewed.get(), renewed.get(), renewed.get()];
    gate.resolve();
    expect(await Promise.all(asked)).toEqual(['value 1', 'value 1', 'value 1']);
    time = LIFETIME * 0.79;
    expect(await renewed.get()).toBe('value 1');
    expect(fetched).toBe(1);
  });

  test('is renewed ahead of its end, and nobody waits for that', async () => {
    await renewed.get();
    time = LIFETIME * 0.8;
    gate = Promise.withResolvers();
    expect(await renewed.get()).toBe('value 1');
    expect(await renewed.get()).toBe('value 1');
    expect(fetched).toBe(2);
    gate.resolve();
    await settled();
    expect(await renewed.get()).toBe('value 2');
  });

  test('is waited for where it has ended', async () => {
    await renewed.get();
    time = LIFETIME;
    expect(await renewed.get()).toBe('value 2');
  });

  test('counts to its end where it cannot be renewed, and is not tried for at each turn', async () => {
    await renewed.get();
    fails = true;
    time = LIFETIME * 0.8;
    expect(await renewed.get()).toBe('value 1');
    await settled();
    expect(failures).toHaveLength(1);
    expect(await renewed.get()).toBe('value 1');
    expect(fetched).toBe(2);
    time = LIFETIME * 0.86;
    expect(await renewed.get()).toBe('value 1');
    await settled();
    expect(fetched).toBe(3);
    time = LIFETIME;
    await expect(renewed.get()).rejects.toThrow('no value');
    fails = false;
    expect(await renewed.get()).toBe('value 5');
  });

  test('is not given again when it was dropped; a later one stays', async () => {
    await renewed.get();
    renewed.drop('value 1');
    expect(await renewed.get()).toBe('value 2');
    renewed.drop('value 1');
    expect(await renewed.get()).toBe('value 2');
  });
});
