import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  closingDelimiter,
  contentRange,
  ifRangeMatches,
  multipartHeader,
  multipartLength,
  parseContentRange,
  parseRange,
  parseRangeSpecs,
  resolveRanges,
  unsatisfiedContentRange,
  type RangeSpec,
} from './range.ts';

const formatSpec = (spec: RangeSpec): string =>
  spec.kind === 'suffix' ? `-${spec.length}` : `${spec.start}-${spec.end ?? ''}`;
const format = (specs: readonly RangeSpec[]): string => `bytes=${specs.map(formatSpec).join(', ')}`;
const position = fc.oneof(fc.nat({ max: 50 }), fc.maxSafeNat());
const spec: fc.Arbitrary<RangeSpec> = fc.oneof(
  fc.record({
    kind: fc.constant('from' as const),
    start: position,
    end: fc.option(position, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('suffix' as const), length: position }),
);
const specs = fc.array(spec, { minLength: 1, maxLength: 8 });
const size = fc.oneof(fc.nat({ max: 60 }), fc.maxSafeNat());

describe('a Range header', () => {
  test('parses to the ranges it was written from', () => {
    fc.assert(
      fc.property(specs, (value) => {
        expect(parseRangeSpecs(format(value))).toEqual(value);
      }),
    );
  });

  test('gives ranges inside the object, or none', () => {
    fc.assert(
      fc.property(specs, size, (value, length) => {
        const answer = parseRange(format(value), length);
        const ranges = answer.kind === 'ranges' ? answer.ranges : [];
        expect(answer.kind === 'ranges').toBe(ranges.length > 0);
        for (const range of ranges) {
          expect(range.start).toBeGreaterThanOrEqual(0);
          expect(range.start).toBeLessThanOrEqual(range.end);
          expect(range.end).toBeLessThan(length);
          expect(parseContentRange(contentRange(range, length))).toEqual(
            length < 1e15 ? { ...range, size: length } : undefined,
          );
        }
      }),
    );
  });

  test('never asks for more than three times the object', () => {
    fc.assert(
      fc.property(specs, fc.integer({ min: 1, max: 60 }), (value, length) => {
        const answer = resolveRanges(value, length);
        const ranges = answer.kind === 'ranges' ? answer.ranges : [];
        const total = ranges.reduce((sum, range) => sum + range.end - range.start + 1, 0);
        expect(total).toBeLessThanOrEqual(3 * length);
      }),
    );
  });

  test('is never a failure, whatever it holds', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('bytes=', '0', '9', '-', ',', ' ') }),
    );
    fc.assert(
      fc.property(text, size, (header, length) => {
        expect(['full', 'ranges', 'unsatisfiable']).toContain(parseRange(header, length).kind);
      }),
    );
  });

  test.each<[string, readonly [number, number][]]>([
    ['bytes=0-', [[0, 999]]],
    ['bytes=500-', [[500, 999]]],
    ['bytes=-500', [[500, 999]]],
    ['bytes=-5000', [[0, 999]]],
    ['bytes=500-1499', [[500, 999]]],
    ['BYTES=0-0', [[0, 0]]],
    ['bytes=0-18446744073709551616', [[0, 999]]],
    [
      'bytes=900-, ,0-9,2000-3000',
      [
        [900, 999],
        [0, 9],
      ],
    ],
    [
      'bytes=0-9,10-19',
      [
        [0, 9],
        [10, 19],
      ],
    ],
  ])('%s is served in part, in the order it was asked for', (header, expected) => {
    expect(parseRange(header, 1000)).toEqual({
      kind: 'ranges',
      ranges: expected.map(([start, end]) => ({ start, end })),
    });
  });

  test.each(['bytes=500-0', 'bytes=0-9,500-0', 'bytes=1000-', 'bytes=1000-2000,5000-', 'bytes=-0'])(
    '%s is not satisfiable',
    (header) => {
      expect(parseRange(header, 1000)).toEqual({ kind: 'unsatisfiable' });
    },
  );

  test.each([
    '',
    'bytes',
    'bytes=',
    'bytes=,',
    'bytes=-',
    'bytes=a-b',
    'bytes=1-2-3',
    'items=0-9',
    'bytes=+1-2',
  ])('"%s" is ignored', (header) => {
    expect(parseRange(header, 1000)).toEqual({ kind: 'full' });
  });

  test('is ignored where it is absent or the size is unknown', () => {
    expect(parseRange(undefined, 1000)).toEqual({ kind: 'full' });
    expect(parseRange('bytes=0-9', undefined)).toEqual({ kind: 'full' });
  });

  test('of many small ranges is obeyed up to a bound', () => {
    const many = (count: number): string =>
      `bytes=${Array.from({ length: count }, (_, at) => `${at * 10}-${at * 10 + 4}`).join(',')}`;
    expect(parseRange(many(1024), 100_000).kind).toBe('ranges');
    expect(parseRange(many(1025), 100_000).kind).toBe('full');
  });

  test('of many overlapping ranges is answered by the whole', () => {
    expect(parseRange('bytes=0-,1-,2-', 1000).kind).toBe('ranges');
    expect(parseRange('bytes=0-,1-,2-,3-', 1000).kind).toBe('full');
  });

  test('on an empty object is satisfied by the whole only if it is a suffix', () => {
    expect(parseRange('bytes=-5', 0).kind).toBe('full');
    expect(parseRange('bytes=0-', 0).kind).toBe('unsatisfiable');
  });
});

describe('a Content-Range', () => {
  test('may leave the size open', () => {
    expect(parseContentRange('bytes 5-9/*')).toEqual({ start: 5, end: 9, size: undefined });
  });

  test.each([
    undefined,
    '',
    'bytes */10',
    'bytes 5-4/10',
    'bytes 5-10/10',
    'items 0-1/2',
    'bytes 0-1',
    'bytes 0-1/1e3',
    unsatisfiedContentRange(10),
  ])('%s names no part', (header) => {
    expect(parseContentRange(header)).toBeUndefined();
  });
});

describe('If-Range', () => {
  const etag = '"sha256:abc"';
  test.each<[string | undefined, boolean]>([
    [undefined, true],
    [etag, true],
    [` ${etag} `, true],
    [`W/${etag}`, false],
    ['"sha256:abd"', false],
    ['Wed, 21 Oct 2015 07:28:00 GMT', false],
    ['', false],
    ['*', false],
  ])('%s lets the range apply: %s', (header, expected) => {
    expect(ifRangeMatches(header, etag)).toBe(expected);
  });

  test('never matches a weak tag', () => {
    expect(ifRangeMatches('W/"a"', 'W/"a"')).toBe(false);
  });
});

describe('a multipart body', () => {
  test('is as long as was announced and holds its parts between delimiters', () => {
    const range = fc.tuple(fc.nat({ max: 99 }), fc.nat({ max: 99 })).map(([a, b]) => ({
      start: Math.min(a, b),
      end: Math.max(a, b),
    }));
    fc.assert(
      fc.property(fc.array(range, { minLength: 1 }), (ranges) => {
        const content = Buffer.alloc(100, 'x');
        const parts = ranges.flatMap((part) => [
          multipartHeader('B', part, 100, 'application/octet-stream'),
          content.toString('latin1', part.start, part.end + 1),
        ]);
        const body = [...parts, closingDelimiter('B')].join('');
        expect(body.length).toBe(multipartLength('B', ranges, 100, 'application/octet-stream'));
        expect(body.split('\r\n--B').length).toBe(ranges.length + 2);
      }),
    );
  });

  test('has the type and place of each part', () => {
    expect(multipartHeader('B', { start: 1, end: 2 }, 10, 'text/plain')).toBe(
      '\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/10\r\n\r\n',
    );
  });
});
