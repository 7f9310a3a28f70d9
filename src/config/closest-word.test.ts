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

  test('a known word is its own', () => {
    fc.assert(fc.property(fc.constantFrom(...KEYS), (word) => closestWord(word, KEYS) === word));
  });
});
