import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseListenAddress } from './listen-address.ts';

describe('parseListenAddress', () => {
  test.each([
    ['0.0.0.0:3128', '0.0.0.0', 3128],
    [':3128', '0.0.0.0', 3128],
    ['3128', '0.0.0.0', 3128],
    ['[::]:3128', '::', 3128],
    ['[::1]:0', '::1', 0],
    ['localhost:80', 'localhost', 80],
  ])('%s', (text, host, port) => {
    expect(parseListenAddress(text)).toEqual({ host, port });
  });

  test.each(['', 'localhost', '65536', 'a:b', '::1:3128', '[::1', '[zz]:1', 'http://a:1', 'a b:1', ':-1'])(
    'refuses %j',
    (text) => {
      expect(() => parseListenAddress(text)).toThrow('it is not a listen address');
    },
  );

  test('every port, every address', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_535 }), fc.ipV4(), fc.ipV6(), (port, v4, v6) => {
        expect(parseListenAddress(String(port)).port).toBe(port);
        expect(parseListenAddress(`${v4}:${port}`)).toEqual({ host: v4, port });
        expect(parseListenAddress(`[${v6}]:${port}`)).toEqual({ host: v6, port });
      }),
    );
  });
});
