import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from './digest.ts';
import { etagOf, ifNoneMatch } from './etag.ts';

const etag = etagOf(digestOf(Buffer.from('a')));
const other = fc.stringMatching(/^[!#-~]{0,12}$/).map((text) => `"${text}"`);
const weakness = fc.constantFrom('', 'W/');

test('the entity tag of an object is its digest in quotes', () => {
  expect(etag).toMatch(/^"sha256:[0-9a-f]{64}"$/);
});

describe('If-None-Match', () => {
  test('matches a tag anywhere in its list, weak or not', () => {
    const list = fc.array(other, { maxLength: 3 });
    const separator = fc.constantFrom(',', ', ', ' , ,');
    fc.assert(
      fc.property(list, weakness, list, separator, (before, weak, after, comma) => {
        expect(ifNoneMatch([...before, `${weak}${etag}`, ...after].join(comma), etag)).toBe(true);
      }),
    );
  });

  test('matches no other tag, commas inside it or not', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(weakness, other)), (tags) => {
        expect(ifNoneMatch(tags.map((parts) => parts.join('')).join(', '), etag)).toBe(false);
      }),
    );
    expect(ifNoneMatch(`"a,${etag.slice(1)}`, etag)).toBe(false);
  });

  test.each<[string | undefined, boolean]>([
    [undefined, false],
    ['', false],
    ['*', true],
    ['"*"', false],
    [etag.slice(1, -1), true],
    [`"a", W/${etag}`, true],
  ])('%s: %s', (header, expected) => {
    expect(ifNoneMatch(header, etag)).toBe(expected);
  });
});
