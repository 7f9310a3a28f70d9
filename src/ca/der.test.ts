import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { derInteger, derOctets, derOid, derSequence, derTime, readDer } from './der.ts';

describe('DER', () => {
  it('reads back what it wrote, whatever the length', () => {
    const lengths = fc.oneof(fc.nat(300), fc.constantFrom(127, 128, 255, 256, 65_535, 65_536));
    fc.assert(
      fc.property(fc.array(lengths, { maxLength: 4 }), (sizes) => {
        const contents = sizes.map((size) => Buffer.alloc(size, size));
        const [outer, ...rest] = readDer(derSequence(...contents.map(derOctets)));
        expect(rest).toEqual([]);
        const read = readDer(outer?.content ?? Buffer.alloc(0));
        expect(read.map((inner) => inner.content.length)).toEqual(sizes);
        expect(contents.every((content, index) => read[index]?.content.equals(content))).toBe(true);
      }),
    );
  });

  it('refuses what is cut off', () => {
    const whole = derSequence(derOctets(Buffer.alloc(200)));
    for (let length = 1; length < whole.length; length += 1) {
      expect(() => readDer(whole.subarray(0, length))).toThrow(RangeError);
    }
  });

  it('writes integers in their shortest form, never negative', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (bytes) => {
        const hex = Buffer.from(bytes).toString('hex');
        const content = readDer(derInteger(Buffer.from(bytes)))[0]?.content ?? Buffer.alloc(0);
        expect(BigInt(`0x${content.toString('hex')}`)).toBe(BigInt(`0x${hex}`));
        const [first = 0, second] = content;
        expect(first).toBeLessThan(0x80);
        expect(first !== 0 || second === undefined || second >= 0x80).toBe(true);
      }),
    );
  });

  it.each([
    ['1.2.840.113549.1.1.11', '06092a864886f70d01010b'],
    ['2.5.29.17', '0603551d11'],
    ['1.3.101.112', '06032b6570'],
  ])('writes the object identifier %s', (dotted, hex) => {
    expect(derOid(dotted).toString('hex')).toBe(hex);
  });

  it.each([
    ['2049-12-31T23:59:59.999Z', '\x17\x0d491231235959Z'],
    ['2050-01-01T00:00:00.000Z', '\x18\x0f20500101000000Z'],
  ])('writes the time %s', (time, written) => {
    expect(derTime(new Date(time)).toString('latin1')).toBe(written);
  });
});
