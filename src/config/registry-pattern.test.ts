import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRegistryMatcher, parseRegistryPattern, parseRegistryPatterns } from './registry-pattern.ts';

const matcherOf = (text: string) => createRegistryMatcher(parseRegistryPatterns(text));

describe('parseRegistryPattern', () => {
  test.each([
    ['quay.io', 'exact', 'quay.io', 443, 'https'],
    ['QUAY.io', 'exact', 'quay.io', 443, 'https'],
    ['registry.local:5000', 'exact', 'registry.local', 5000, 'https'],
    ['*.example.com', 'below', 'example.com', 443, 'https'],
    ['.example.com', 'domain', 'example.com', 443, 'https'],
    ['*.example.com:8443', 'below', 'example.com', 8443, 'https'],
    ['http://plain.local', 'exact', 'plain.local', 80, 'http'],
    ['http://plain.local:5000/', 'exact', 'plain.local', 5000, 'http'],
    ['https://ghcr.io', 'exact', 'ghcr.io', 443, 'https'],
    ['[::1]:5000', 'exact', '::1', 5000, 'https'],
  ])('%s', (entry, match, host, port, scheme) => {
    expect(parseRegistryPattern(entry)).toEqual({ match, host, port, scheme });
  });

  test.each(['*', '.', 'a..b', 'ghcr.io/library', 'ftp://a', 'a:99999', 'a b', '*.*.com', 'user@host'])(
    'refuses %j, quoting it',
    (entry) => {
      expect(() => parseRegistryPattern(entry)).toThrow(JSON.stringify(entry));
    },
  );

  test('a list is divided by white space or commas', () => {
    expect(parseRegistryPatterns(' a.io\tb.io,\n c.io ').map(({ host }) => host)).toEqual([
      'a.io',
      'b.io',
      'c.io',
    ]);
    expect(parseRegistryPatterns('  ')).toEqual([]);
  });
});

describe('createRegistryMatcher', () => {
  test('Docker Hub and the proxy itself always match, at 443 alone', () => {
    const matches = matcherOf('');
    for (const host of ['docker.caching.proxy.internal', 'registry-1.docker.io', 'auth.docker.io']) {
      expect(matches(host, 443)).toBe(true);
      expect(matches(host, 80)).toBe(false);
    }
    expect(matches('index.docker.io', 443)).toBe(false);
  });

  test('a host matches at its port, whatever its case', () => {
    const matches = matcherOf('ghcr.io registry.local:5000 [::1]:5000');
    expect(matches('GHCR.io', 443)).toBe(true);
    expect(matches('ghcr.io.', 443)).toBe(true);
    expect(matches('ghcr.io', 8443)).toBe(false);
    expect(matches('x.ghcr.io', 443)).toBe(false);
    expect(matches('registry.local', 5000)).toBe(true);
    expect(matches('registry.local', 443)).toBe(false);
    expect(matches('[::1]', 5000)).toBe(true);
    expect(matches('::1', 5000)).toBe(true);
  });

  test('wildcards are those of nginx: *.x is every name below, .x the name too', () => {
    const matches = matcherOf('*.star.com .dot.com');
    expect(matches('a.star.com', 443)).toBe(true);
    expect(matches('a.b.star.com', 443)).toBe(true);
    expect(matches('star.com', 443)).toBe(false);
    expect(matches('evilstar.com', 443)).toBe(false);
    expect(matches('dot.com', 443)).toBe(true);
    expect(matches('a.dot.com', 443)).toBe(true);
    expect(matches('evildot.com', 443)).toBe(false);
  });

  test('tells the scheme; exact beats suffix, a longer suffix a shorter', () => {
    const matcher = matcherOf('*.lab:443 http://*.plain.lab:443 https://tls.plain.lab http://one.local');
    expect(matcher.schemeFor('a.lab', 443)).toBe('https');
    expect(matcher.schemeFor('a.plain.lab', 443)).toBe('http');
    expect(matcher.schemeFor('tls.plain.lab', 443)).toBe('https');
    expect(matcher.schemeFor('one.local', 80)).toBe('http');
    expect(matcher.schemeFor('one.local', 443)).toBeUndefined();
  });

  test('a plain-HTTP entry cannot take the TLS of a name that is always intercepted', () => {
    expect(matcherOf('http://auth.docker.io:443').schemeFor('auth.docker.io', 443)).toBe('https');
  });

  test('any host that is written matches itself and not what only ends alike', () => {
    fc.assert(
      fc.property(fc.domain(), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        const matches = matcherOf(`${host}:${port}`);
        expect(matches(host, port)).toBe(true);
        expect(matches(`x${host}`, port)).toBe(false);
        expect(matches(`x.${host}`, port)).toBe(false);
      }),
    );
  });
});
