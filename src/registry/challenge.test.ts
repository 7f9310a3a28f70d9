import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bearerChallenge, hasBasicChallenge, parseChallenges, type Challenge } from './challenge.ts';

const token = fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,10}$/);
const value = fc.string({
  unit: fc.constantFrom('a', '"', '\\', ',', ' ', '=', '/', 'é', ':'),
  maxLength: 12,
});
const challenge: fc.Arbitrary<Challenge> = fc.oneof(
  fc.record({
    scheme: token,
    parameters: fc
      .uniqueArray(fc.tuple(token, value), { selector: ([name]) => name, maxLength: 4 })
      .map((pairs) => new Map(pairs)),
  }),
  fc.record({
    scheme: token,
    parameters: fc.constant(new Map<string, string>()),
    token68: fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,10}={0,2}$/),
  }),
);
const plain = (header: string | readonly string[] | undefined): unknown =>
  parseChallenges(header).map(({ scheme, parameters, token68 }) => [
    scheme,
    token68 ?? Object.fromEntries(parameters),
  ]);

describe('challenges', () => {
  test('are what their own text parses to, in one line or in several', () => {
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 4 }), (list) => {
        const lines = list.map(formatChallenge);
        expect(parseChallenges(lines.join(', '))).toEqual(list);
        expect(parseChallenges(lines)).toEqual(list);
      }),
    );
  });

  test('are never a failure, whatever the header holds', () => {
    const pieces = fc.constantFrom('Bearer', 'a', '=', '"', '\\', ',', ' ', '\t', 'é');
    fc.assert(
      fc.property(fc.string({ unit: pieces, maxLength: 30 }), (header) => {
        expect(Array.isArray(parseChallenges(header))).toBe(true);
      }),
    );
  });

  test('of a long hostile header are read in no time', () => {
    for (const piece of ['a', 'a ', 'a=', '"', 'a="', '\\', ',', 'a,', 'a=="', 'a b,']) {
      const started = performance.now();
      parseChallenges(piece.repeat(100_000));
      parseChallenges(`Bearer realm="${piece.repeat(100_000)}`);
      expect(performance.now() - started).toBeLessThan(2000);
    }
  });

  test.each<[string, string | string[] | undefined, unknown]>([
    ['absent', undefined, []],
    ['empty', '', []],
    [
      "Docker Hub's",
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:a/b:pull,push',
          },
        ],
      ],
    ],
    [
      'several in one line',
      'Basic realm="a, \\"b\\"", Negotiate YWJj==, NTLM, Bearer realm = "x" , SERVICE=y',
      [
        ['basic', { realm: 'a, "b"' }],
        ['negotiate', 'YWJj=='],
        ['ntlm', {}],
        ['bearer', { realm: 'x', service: 'y' }],
      ],
    ],
    [
      'with a value that ought to be quoted',
      'Bearer realm=https://a/b?c',
      [['bearer', { realm: 'https://a/b?c' }]],
    ],
    [
      'with empty elements',
      ', ,Basic realm="a",,charset="UTF-8",',
      [['basic', { realm: 'a', charset: 'UTF-8' }]],
    ],
    ['with a name twice', 'Basic realm="a", realm="b"', [['basic', { realm: 'a' }]]],
    ['cut off in a value', 'Basic realm="a", charset="UTF', [['basic', { realm: 'a' }]]],
    [
      'without a comma between',
      'Basic realm="a" Bearer realm="b"',
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b' }],
      ],
    ],
  ])('%s', (_name, header, expected) => {
    expect(plain(header)).toEqual(expected);
  });
});

describe('the Bearer challenge', () => {
  test('is the first with a URL to ask', () => {
    const header = 'Basic realm="a", Bearer realm="/token", Bearer realm="https://b/token",service="c"';
    expect(bearerChallenge(parseChallenges(header))).toEqual({
      realm: new URL('https://b/token'),
      service: 'c',
      scope: undefined,
    });
  });

  test.each(['Basic realm="https://a/"', 'Bearer', 'Bearer realm="token"', 'Bearer realm="ftp://a/"', ''])(
    'is not in %s',
    (header) => {
      expect(bearerChallenge(parseChallenges(header))).toBeUndefined();
    },
  );
});

test('a Basic challenge is found beside others', () => {
  expect(hasBasicChallenge(parseChallenges('Bearer realm="a", BASIC realm="b"'))).toBe(true);
  expect(hasBasicChallenge(parseChallenges('Bearer realm="a, Basic"'))).toBe(false);
});

/** The text of a challenge, its values quoted, its scheme capitalised as clients expect it. */
function formatChallenge({ scheme, parameters, token68 }: Challenge): string {
  const name = scheme.charAt(0).toUpperCase() + scheme.slice(1);
  const pairs = [...parameters].map(([key, value]) => `${key}="${value.replaceAll(/["\\]/g, '\\$&')}"`);
  return [name, token68 ?? pairs.join(',')].filter((part) => part !== '').join(' ');
}
