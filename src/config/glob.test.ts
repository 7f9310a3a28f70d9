import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseGlob } from './glob.ts';

const matches = (pattern: string, text: string): boolean => parseGlob(pattern).matches(text);

/** The textbook matcher, by recursion. */
function plainMatch(glob: string, text: string): boolean {
  const [head, rest] = [glob[0], glob.slice(1)];
  if (head === undefined) return text === '';
  if (head === '*') return plainMatch(rest, text) || (text !== '' && plainMatch(glob, text.slice(1)));
  return text !== '' && (head === '?' || head === text[0]) && plainMatch(rest, text.slice(1));
}

describe('parseGlob', () => {
  test.each([
    ['*-nightly', 'v1-nightly'],
    ['library/*', 'library/alpine'],
    ['team/*', 'team/group/app'],
    ['v?', 'v1'],
    ['*', ''],
    ['[::1]:5000', '[::1]:5000'],
    ['/^v[0-9]+$/', 'v12'],
    ['/rc/', '1.0-rc1'],
  ])('%s takes %s', (pattern, text) => {
    expect(matches(pattern, text)).toBe(true);
  });

  test.each([
    ['*-nightly', 'nightly'],
    ['1.2', '1x2'],
    ['library', 'library/alpine'],
    ['v?', 'v12'],
    ['V1', 'v1'],
    ['/^v[0-9]+$/', 'v12-rc'],
  ])('%s does not take %s', (pattern, text) => {
    expect(matches(pattern, text)).toBe(false);
  });

  test('means what the textbook matcher means', () => {
    const glob = fc.string({ unit: fc.constantFrom(...Array.from('ab.*?+$^(\\')), maxLength: 7 });
    const text = fc.string({ unit: fc.constantFrom(...Array.from('ab.+$^(\\\n')), maxLength: 8 });
    const parseable = glob.filter((pattern) => pattern.trim() !== '');
    fc.assert(
      fc.property(parseable, text, (pattern, candidate) => {
        expect(matches(pattern, candidate)).toBe(plainMatch(pattern, candidate));
      }),
    );
  });

  test('every text takes itself as a pattern, white space around it and slashes apart', () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((word) => !/^\s|\s$|^\/|[*?]/u.test(word));
    fc.assert(
      fc.property(text, (word) => {
        expect(matches(word, word)).toBe(true);
      }),
    );
  });

  test.each(['/(a)\\1/', '/(?=a)/', '/[/', '  '])('refuses %s', (pattern) => {
    expect(() => parseGlob(pattern)).toThrow(expect.objectContaining({ code: 'SETTING_INVALID' }));
  });

  test.each(['*a*a*a*a*a*a*a*b', '/(a+)+$/'])('%s ends in linear time', (pattern) => {
    expect(matches(pattern, `${'a'.repeat(100_000)}!`)).toBe(false);
  });
});
