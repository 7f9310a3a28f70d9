import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { parseSize } from './nginx-size.ts';

function outcome(parse: () => number): unknown {
  try {
    return parse();
  } catch (error) {
    return error instanceof BreakwaterError ? error.code : error;
  }
}

describe('parseSize', () => {
  test.each([
    ['32g', 32 * 2 ** 30],
    ['500M', 500 * 2 ** 20],
    ['1024', 1024],
    ['0', 0],
    ['4K', 4096],
    ['2t', 2 * 2 ** 40],
    [' 1G ', 2 ** 30],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(['', '32 gb', '32gb', '-1', '1.5g', 'g', '1e3', '0x10', '9007199254740993', '8192t', '٣g'])(
    'refuses %j',
    (text) => {
      expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'SETTING_INVALID' }));
    },
  );

  test('a unit multiplies, in either case', () => {
    const units = { k: 10, K: 10, m: 20, M: 20, g: 30, G: 30, t: 40, T: 40 };
    fc.assert(
      fc.property(
        fc.nat({ max: 8191 }),
        fc.constantFrom(...Object.entries(units)),
        (count, [unit, power]) => {
          expect(parseSize(`${count}${unit}`)).toBe(count * 2 ** power);
        },
      ),
    );
  });

  test('any text gives a whole number of bytes or is refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(outcome(() => parseSize(text))).toSatisfy(
          (value) => value === 'SETTING_INVALID' || Number.isSafeInteger(value),
        );
      }),
    );
  });
});
