import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDigest } from './digest.ts';
import { BreakwaterError, type ErrorCode } from './errors.ts';
import { parseRepositoryName, parseTag } from './name.ts';
import { formatRoute, parseRoute, type Route, type ManifestReference } from './route.ts';

const HEX = 'a'.repeat(64);
const DIGEST = `sha256:${HEX}`;

const HEX_DIGITS = '0123456789abcdef'.split('');
const hex = (length: number) =>
  fc
    .array(fc.constantFrom(...HEX_DIGITS), { minLength: length, maxLength: length })
    .map((digits) => digits.join(''));
const digest = fc
  .oneof(
    hex(64).map((text) => `sha256:${text}`),
    hex(128).map((text) => `sha512:${text}`),
  )
  .map(parseDigest);
const component = fc.oneof(
  fc.constantFrom('blobs', 'manifests', 'tags', 'list', 'uploads', 'referrers', 'v2', 'v1'),
  fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,8})?$/),
);
const repository = fc
  .array(component, { minLength: 1, maxLength: 6 })
  .map((parts) => parseRepositoryName(parts.join('/')));
const tag = fc
  .oneof(
    fc.constantFrom('list', 'uploads', 'manifests', 'latest'),
    fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/),
  )
  .map(parseTag);
const reference: fc.Arbitrary<ManifestReference> = fc.oneof(
  tag.map((value) => ({ kind: 'tag' as const, tag: value })),
  digest.map((value) => ({ kind: 'digest' as const, digest: value })),
);
const route: fc.Arbitrary<Route> = fc.oneof(
  fc.constantFrom<Route>({ kind: 'ping' }, { kind: 'catalog' }, { kind: 'v1' }),
  fc.record({ kind: fc.constant('manifest' as const), repository, reference }),
  fc.record({ kind: fc.constant('blob' as const), repository, digest }),
  fc.record({ kind: fc.constant('tags' as const), repository }),
  fc.record({ kind: fc.constant('referrers' as const), repository, digest }),
  fc.record({ kind: fc.constant('upload' as const), repository }),
  fc.stringMatching(/^\/[a-u][a-zA-Z0-9/_-]{0,40}$/).map((path): Route => ({ kind: 'other', path })),
);

const codeOf = (target: string): ErrorCode | 'none' => {
  try {
    parseRoute(target);
    return 'none';
  } catch (error) {
    if (error instanceof BreakwaterError) return error.code;
    throw error;
  }
};

describe('a route', () => {
  test('is what its own path parses to, with or without a query', () => {
    fc.assert(
      fc.property(route, (value) => {
        expect(parseRoute(formatRoute(value))).toEqual(value);
        expect(parseRoute(`${formatRoute(value)}?n=1&last=..`)).toEqual(value);
      }),
    );
  });

  test('is the same when every character behind the version is percent-encoded', () => {
    const encode = (path: string): string =>
      path.replaceAll(
        /(?<=^\/v[12]\/.*)[^/]/g,
        (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
      );
    fc.assert(
      fc.property(
        route.filter((value) => value.kind !== 'other'),
        (value) => {
          expect(parseRoute(encode(formatRoute(value)))).toEqual(value);
        },
      ),
    );
  });

  test('fails by name only, whatever the target is', () => {
    const pieces = fc.constantFrom(
      '/',
      'v2',
      '..',
      '%2f',
      '%',
      '%2e',
      'a',
      'blobs',
      'tags',
      '\\',
      '?',
      '#',
      ':',
    );
    const target = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 12 }).map((parts) => `/v2/${parts.join('')}`),
    );
    const allowed = ['none', 'PATH_INVALID', 'NAME_INVALID', 'TAG_INVALID', 'DIGEST_INVALID'];
    fc.assert(
      fc.property(target, (text) => {
        expect(allowed).toContain(codeOf(text));
      }),
    );
  });
});

describe('the end of the path decides', () => {
  test.each<[string, unknown]>([
    ['/v2', { kind: 'ping' }],
    ['/v2/', { kind: 'ping' }],
    ['/v2/_catalog?n=5', { kind: 'catalog' }],
    [
      '/v2/a/manifests/b/manifests/latest',
      { kind: 'manifest', repository: 'a/manifests/b', reference: { kind: 'tag', tag: 'latest' } },
    ],
    [
      `/v2/x/manifests/sha256%3A${HEX}`,
      { kind: 'manifest', repository: 'x', reference: { kind: 'digest', digest: DIGEST } },
    ],
    [`/v2/blobs/uploads/blobs/${DIGEST}`, { kind: 'blob', repository: 'blobs/uploads', digest: DIGEST }],
    ['/v2/a/blobs/tags/list', { kind: 'tags', repository: 'a/blobs' }],
    ['/v2/a/blobs/uploads', { kind: 'upload', repository: 'a' }],
    ['/v2/a/blobs/uploads/?mount=x&from=y', { kind: 'upload', repository: 'a' }],
    ['/v2/a/blobs/uploads/one/two', { kind: 'upload', repository: 'a' }],
    ['/v1', { kind: 'v1' }],
    ['/v1/repositories/x/images', { kind: 'v1' }],
    ['/v10/x', { kind: 'other', path: '/v10/x' }],
    ['/token?service=x', { kind: 'other', path: '/token' }],
    ['/api/v4/projects/a%2Fb', { kind: 'other', path: '/api/v4/projects/a%2Fb' }],
    ['/v2/a/tags/list/', { kind: 'other', path: '/v2/a/tags/list/' }],
    ['/', { kind: 'other', path: '/' }],
  ])('%s', (target, expected) => expect(parseRoute(target)).toEqual(expected));
});

describe('a path that would mean something else upstream is refused', () => {
  test.each<[string, ErrorCode]>([
    ['/v2/a%2Fb/manifests/x', 'PATH_INVALID'],
    ['/v2/a%5cb/manifests/x', 'PATH_INVALID'],
    ['/v2\\a\\manifests\\x', 'PATH_INVALID'],
    ['/v2/../v2/a/manifests/x', 'PATH_INVALID'],
    ['/x/%2e%2E/v2/a/manifests/x', 'PATH_INVALID'],
    ['/x%2f..%2fv2/a/manifests/x', 'PATH_INVALID'],
    ['/./v2/a/manifests/x', 'PATH_INVALID'],
    ['//v2/a/manifests/x', 'PATH_INVALID'],
    ['/v2//_catalog', 'PATH_INVALID'],
    ['/%76%32/a/manifests/x', 'PATH_INVALID'],
    ['/v2/a/manifests/x%00', 'PATH_INVALID'],
    ['/v2/a/manifests/x%zz', 'PATH_INVALID'],
    ['/v2/a/manifests/x#y', 'PATH_INVALID'],
    ['http://registry/v2/', 'PATH_INVALID'],
    ['', 'PATH_INVALID'],
    ['/v2/UPPER/manifests/x', 'NAME_INVALID'],
    ['/v2/manifests/latest', 'NAME_INVALID'],
    ['/v2/a/manifests/', 'TAG_INVALID'],
    ['/v2/a/manifests/-x', 'TAG_INVALID'],
    ['/v2/a/manifests/x%252e', 'TAG_INVALID'],
    ['/v2/a/manifests/sha256:abc', 'DIGEST_INVALID'],
    ['/v2/a/blobs/nonsense', 'DIGEST_INVALID'],
    ['/v2/a/blobs/', 'DIGEST_INVALID'],
    ['/v2/a/referrers/latest', 'DIGEST_INVALID'],
  ])('%s is %s', (target, code) => {
    expect(codeOf(target)).toBe(code);
  });

  test('while the asterisk of OPTIONS names no path', () => {
    expect(parseRoute('*')).toEqual({ kind: 'other', path: '*' });
  });
});
