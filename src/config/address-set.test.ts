import { describe, expect, test } from 'vitest';
import { addressSet, parseAddressSet, plainAddress } from './address-set.ts';

describe('a set of addresses', () => {
  const set = parseAddressSet('10.0.0.0/8, 192.0.2.7\nfd00::/8 2001:db8::1 ::ffff:198.51.100.0/120');

  test.each([
    '10.0.0.0',
    '10.255.255.255',
    '192.0.2.7',
    '198.51.100.9',
    'fd12::1',
    '2001:db8:0:0::1',
    // as a listener for both families sees IPv4
    '::ffff:10.1.2.3',
    '::FFFF:a01:203',
    'fd12::1%eth0',
  ])('has %s', (address) => {
    expect(set.has(address)).toBe(true);
  });

  test.each([
    '11.0.0.0',
    '192.0.2.8',
    '::ffff:192.0.2.8',
    'fe80::1',
    '::1',
    '',
    'a name',
    '012.0.0.1',
    '10.1',
  ])('has not %j', (address) => {
    expect(set.has(address)).toBe(false);
  });

  test('all of one family are not all of the other', () => {
    expect(addressSet(['::/0']).has('192.0.2.1')).toBe(false);
    expect(addressSet(['0.0.0.0/0']).has('2001:db8::1')).toBe(false);
    expect(addressSet(['0.0.0.0/0']).has('::ffff:192.0.2.1')).toBe(true);
  });

  test.each([
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0',
    '010.0.0.1',
    'example.com',
    'fe80::1%eth0',
    '10.0.0.0/',
    '/8',
  ])('%s is refused', (text) => {
    expect(() => parseAddressSet(`192.0.2.1 ${text}`)).toThrow(`${JSON.stringify(text)} is neither`);
  });
});

test.each([
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['0:0:0:0:0:ffff:7f00:1', '127.0.0.1'],
  ['FE80::0001%eth0', 'fe80::1'],
  ['192.0.2.1', '192.0.2.1'],
])('%s is plainly %s', (address, plain) => {
  expect(plainAddress(address)).toBe(plain);
});
