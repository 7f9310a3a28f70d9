import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { parseTime, parseTimeout } from './nginx-time.ts';

const UNITS = [
  ['y', 31_536_000_000],
  ['M', 2_592_000_000],
  ['w', 604_800_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

function outcome(parse: () => number): unknown {
  try {
    return parse();
  } catch (error) {
    return error instanceof BreakwaterError ? error.code : error;
  }
}

describe('parseTime', () => {
  test.each([
    ['60s', 60_000],
    ['1h 30m', 5_400_000],
    ['1h30m', 5_400_000],
    ['10m', 600_000],
    ['60d', 5_184_000_000],
    ['500ms', 500],
    ['1M', 2_592_000_000],
    ['1m', 60_000],
    ['60', 60_000],
    ['1h 30', 3_630_000],
    ['1s 5ms', 1005],
    ['0', 0],
    [' 5s ', 5000],
  ])('%j is %d ms', (text, milliseconds) => {
    expect(parseTime(text)).toBe(milliseconds);
  });

  test.each([
    '',
    's',
    '-1s',
    '1.5h',
    '30m 1h',
    '1h 1h',
    '60 s',
    '30 1h',
    '1H',
    '5s 3',
    '1h,30m',
    '9'.repeat(20),
  ])('refuses %j', (text) => {
    expect(() => parseTime(text)).toThrow(expect.objectContaining({ code: 'SETTING_INVALID' }));
  });

  test('parts add up, with spaces between them or without', () => {
    const parts = fc.subarray([...UNITS], { minLength: 1 });
    fc.assert(
      fc.property(parts, fc.nat({ max: 500 }), fc.constantFrom('', ' ', '   '), (units, count, space) => {
        const text = units.map(([unit]) => `${count}${unit}`).join(space);
        expect(parseTime(text)).toBe(units.reduce((total, [, factor]) => total + count * factor, 0));
      }),
    );
  });

  test('any text gives whole milliseconds or is refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from('0159 yMwdhms-')) }), (text) => {
        expect(outcome(() => parseTime(text))).toSatisfy(
          (value) => value === 'SETTING_INVALID' || Number.isSafeInteger(value),
        );
      }),
    );
  });

  test('long nonsense is refused at once', () => {
    expect(() => parseTime(`${'1'.repeat(100_000)}x`)).toThrow('it is not a time');
  });
});

describe('parseTimeout', () => {
  test('a time beyond the longest timer becomes the longest timer, not none', () => {
    expect(parseTimeout('60d')).toBe(2 ** 31 - 1);
    expect(parseTimeout('60s')).toBe(60_000);
  });
});
