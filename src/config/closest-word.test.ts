import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closestWord } from './closest-word.ts';

const KEYS = ['registry', 'repository', 'tag', 'fresh', 'revalidate', 'grace', 'stale', 'refresh'];

describe('closestWord', () => {
  test.each([
    ['refres', 'refresh'],
    ['Fresh', 'fresh'],
    ['tags', 'tag'],
    ['repositry', 'repository'],
    ['registery', 'registry'],
    ['revalidated', 'revalidate'],
    ['frehs', 'fresh'],
    ['tge', undefined],
    ['repo', 'repository'],
    ['re', undefined],
    ['host', undefined],
    ['', undefined],
    ['x', undefined],
  ])('%s: %s', (written, meant) => {
    expect(closestWord(written, KEYS)).toBe(meant);
  });

  test('there is one wherever a letter of a known word is changed, doubled or dropped', () => {
    const slip = fc.constantFrom('', 'x', 'xx');
    fc.assert(
      fc.property(fc.constantFrom(...KEYS), fc.nat(9), slip, (word, at, letters) => {
        const place = at % word.length;
        expect(KEYS).toContain(closestWord(word.slice(0, place) + letters + word.slice(place + 1), KEYS));
      }),
    );
  });

  test('a known word is its own', () => {
    for (const word of KEYS) expect(closestWord(word, KEYS)).toBe(word);
  });
});
