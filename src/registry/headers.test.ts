import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { endToEndHeaders, headerPairs } from './headers.ts';

const HOP_BY_HOP = [
  'Connection',
  'Keep-Alive',
  'Proxy-Authenticate',
  'Proxy-Authorization',
  'Proxy-Connection',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Upgrade',
];
const casing = (name: string) => fc.constantFrom(name, name.toLowerCase(), name.toUpperCase());
const hopByHop = fc.tuple(fc.constantFrom(...HOP_BY_HOP).chain(casing), fc.constantFrom('close', 'x', ''));
const endToEnd = fc.tuple(fc.constantFrom('Accept', 'Warning', 'range', 'X-A'), fc.string());
const byName = (pairs: readonly (readonly [string, string])[]): Record<string, string[]> => {
  const fields: Record<string, string[]> = {};
  for (const [name, value] of pairs) (fields[name] ??= []).push(value);
  return fields;
};
const headers = fc.array(
  fc.oneof(
    hopByHop.map((pair) => ({ pair, isKept: false })),
    endToEnd.map((pair) => ({ pair, isKept: true })),
  ),
);

describe('headers for the next hop', () => {
  test('are all but the hop-by-hop ones, in order and as often as they came', () => {
    fc.assert(
      fc.property(headers, (list) => {
        const kept = list.filter(({ isKept }) => isKept).map(({ pair }) => pair);
        const raw = list.flatMap(({ pair }) => pair);
        expect(endToEndHeaders(raw)).toEqual(kept.flat());
      }),
    );
  });

  test('are the same by name', () => {
    fc.assert(
      fc.property(headers, (list) => {
        const fields = byName(list.map(({ pair }) => pair));
        expect(endToEndHeaders(fields)).toEqual(
          byName(list.filter(({ isKept }) => isKept).map(({ pair }) => pair)),
        );
      }),
    );
  });

  test('leave out all that any Connection header lists', () => {
    const raw = ['Connection', 'X-A ,close', 'x-a', '1', 'X-B', '2', 'connection', 'x-b', 'Accept', '*/*'];
    expect(endToEndHeaders(raw)).toEqual(['Accept', '*/*']);
    expect(endToEndHeaders({ connection: 'x-a, X-B', 'x-a': '1', 'x-b': ['2'], accept: '*/*' })).toEqual({
      accept: '*/*',
    });
  });

  test('never hold what was meant for the proxy', () => {
    expect(endToEndHeaders(['PROXY-AUTHORIZATION', 'Basic eA==', 'Authorization', 'Bearer y'])).toEqual([
      'Authorization',
      'Bearer y',
    ]);
  });
});

test('raw headers are read two by two, a name without value left out', () => {
  expect([...headerPairs(['a', '1', 'b', '2', 'c'])]).toEqual([
    ['a', '1'],
    ['b', '2'],
  ]);
});
