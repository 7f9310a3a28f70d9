import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CACHING } from './settings/caching.ts';
import { parseTagPattern } from './tag-pattern.ts';

const primary = parseTagPattern(CACHING.manifestCachePrimaryRegex.default);
const secondary = parseTagPattern(CACHING.manifestCacheSecondaryRegex.default);

describe('the default tiers', () => {
  test.each(['stable', 'nightly', 'production', 'test', 'testing', 'stable-alpine'])(
    '%s is primary',
    (tag) => {
      expect(primary.matches(tag)).toBe(true);
    },
  );

  test.each(['latest', 'unstable', 'my-nightly', '1.2.3', 'Stable'])('%s is not primary', (tag) => {
    expect(primary.matches(tag)).toBe(false);
  });

  test.each(['22.04', '3.19', '1.2.3', 'v1.2.3-alpine', 'sha256-0a1b2c.sig'])('%s is secondary', (tag) => {
    expect(secondary.matches(tag)).toBe(true);
  });

  test.each(['latest', 'v1', '12', 'jammy'])('%s is not secondary', (tag) => {
    expect(secondary.matches(tag)).toBe(false);
  });
});

describe('parseTagPattern', () => {
  test('is anchored at the start alone, every alternative of it', () => {
    const pattern = parseTagPattern('a|b');
    expect(pattern.matches('bc')).toBe(true);
    expect(pattern.matches('cb')).toBe(false);
  });

  test.each(['(a)\\1', '(?=a)', '(?!a)', '(?<=a)b', '(?<!a)b', '(?>a)', 'a++', '[', 'a)|(b', 'a{1,5000}'])(
    'refuses %s and says why and how to mend it',
    (source) => {
      expect(() => parseTagPattern(source)).toThrow(
        expect.objectContaining({
          code: 'SETTING_INVALID',
          message: expect.stringContaining('does not compile'),
          mend: expect.stringContaining('RE2'),
        }),
      );
    },
  );

  test('a pattern that hangs a backtracking matcher ends in linear time', () => {
    const pattern = parseTagPattern('(a+)+$');
    // 2^100000 steps by backtracking: were it not linear, this test would never end.
    expect(pattern.matches(`${'a'.repeat(100_000)}!`)).toBe(false);
    expect(pattern.matches('a'.repeat(100_000))).toBe(true);
  });

  test('means what the regular expressions of the language mean, for what both have', () => {
    const atom = fc.constantFrom(
      'a',
      'b',
      '.',
      '\\d',
      '[ab]',
      '(a|1)',
      '\\.',
      'v?',
      'a*',
      '(b1)+',
      '(?:1|v)',
      '^a',
      '1$',
    );
    const tag = fc.string({ unit: fc.constantFrom(...Array.from('ab1.v-')), maxLength: 8 });
    fc.assert(
      fc.property(fc.array(atom, { minLength: 1, maxLength: 5 }), tag, (atoms, text) => {
        const source = atoms.join('');
        expect(parseTagPattern(source).matches(text)).toBe(new RegExp(`^(?:${source})`).test(text));
      }),
    );
  });
});
