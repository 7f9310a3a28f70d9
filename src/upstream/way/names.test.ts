import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createNames } from './names.ts';

/** What a lookup was asked, and what answers it. */
interface Asked {
  readonly host: string;
  readonly family: 0 | 4;
  readonly answer: (...addresses: string[]) => void;
  readonly fail: (code: string) => void;
}

let asked: Asked[];

beforeEach(() => {
  asked = [];
  vi.useFakeTimers();
});

afterEach(() => vi.useRealTimers());

function create(ipv4Only = false) {
  return createNames({
    ipv4Only,
    now: Date.now,
    lookup: (host, family) =>
      new Promise((resolve, reject) => {
        asked.push({
          host,
          family,
          answer: (...addresses) => resolve(addresses),
          fail: (code) => reject(Object.assign(new Error(code), { code })),
        });
      }),
  });
}

describe('names', () => {
  test('of many that ask at once one asks the resolver', async () => {
    const names = create();
    const all = Array.from({ length: 1_000 }, () => names.resolve('Registry.test'));
    asked[0]?.answer('192.0.2.1', '2001:db8::1');
    expect(new Set((await Promise.all(all)).flat())).toEqual(new Set(['192.0.2.1', '2001:db8::1']));
    expect(asked.map(({ host, family }) => [host, family])).toEqual([['registry.test', 0]]);
  });

  test('an answer holds for ten seconds, unless its addresses lead nowhere', async () => {
    const names = create();
    const first = names.resolve('registry.test');
    asked[0]?.answer('192.0.2.1');
    await first;
    await vi.advanceTimersByTimeAsync(9_000);
    expect(await names.resolve('registry.test')).toEqual(['192.0.2.1']);
    expect(asked).toHaveLength(1);
    const again = names.resolve('registry.test', true);
    asked[1]?.answer('192.0.2.2');
    expect(await again).toEqual(['192.0.2.2']);
    await vi.advanceTimersByTimeAsync(11_000);
    const later = names.resolve('registry.test');
    asked[2]?.answer('192.0.2.3');
    expect(await later).toEqual(['192.0.2.3']);
  });

  test('what is known stands in while no name server answers: at once where they say so, soon where they are silent', async () => {
    const names = create(true);
    const first = names.resolve('registry.test');
    asked[0]?.answer('192.0.2.1');
    await first;
    await vi.advanceTimersByTimeAsync(3_600_000);
    const down = names.resolve('registry.test');
    asked[1]?.fail('EAI_AGAIN');
    expect(await down).toEqual(['192.0.2.1']);
    const silent = names.resolve('registry.test');
    await vi.advanceTimersByTimeAsync(1_900);
    expect(await silent).toEqual(['192.0.2.1']);
    // the silence ended: the answer that came late counts
    asked[2]?.answer('192.0.2.9');
    await vi.advanceTimersByTimeAsync(1);
    expect(await names.resolve('registry.test')).toEqual(['192.0.2.9']);
  });

  test('a name that is gone is gone, and after a day nothing stands in', async () => {
    const names = create(true);
    const first = names.resolve('registry.test');
    asked[0]?.answer('192.0.2.1');
    await first;
    await vi.advanceTimersByTimeAsync(60_000);
    const gone = names.resolve('registry.test');
    asked[1]?.fail('ENOTFOUND');
    await expect(gone).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await vi.advanceTimersByTimeAsync(24 * 3_600_000);
    const old = names.resolve('registry.test');
    asked[2]?.fail('EAI_AGAIN');
    await expect(old).rejects.toMatchObject({ code: 'EAI_AGAIN' });
  });

  test('where AAAA is not answered, A is asked for alone', async () => {
    const names = create();
    const found = names.resolve('registry.test');
    await vi.advanceTimersByTimeAsync(1_001);
    expect(asked.map(({ family }) => family)).toEqual([0, 4]);
    asked[1]?.answer('192.0.2.1');
    expect(await found).toEqual(['192.0.2.1']);
  });

  test('a resolver that says nothing is left after ten seconds', async () => {
    const names = create();
    const found = names.resolve('registry.test').catch((thrown: unknown) => thrown);
    await vi.advanceTimersByTimeAsync(10_001);
    expect(await found).toMatchObject({ code: 'DNS_TIMEOUT' });
  });

  test('no more than 500 names wait for the resolver', async () => {
    const names = create(true);
    const waiting = Array.from({ length: 500 }, (_, at) => names.resolve(`host-${at}.test`));
    await expect(names.resolve('one-more.test')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
    for (const each of asked) each.answer('192.0.2.1');
    await Promise.all(waiting);
    const after = names.resolve('one-more.test');
    asked.at(-1)?.answer('192.0.2.1');
    expect(await after).toEqual(['192.0.2.1']);
  });

  test('without IPv6 only A is asked for; an address is its own', async () => {
    const names = create(true);
    void names.resolve('registry.test').catch(() => undefined);
    expect(asked.map(({ family }) => family)).toEqual([4]);
    expect(await names.resolve('2001:db8::1')).toEqual(['2001:db8::1']);
    expect(asked).toHaveLength(1);
  });
});
