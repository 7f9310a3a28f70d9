import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseProxyHeader } from './proxy-header.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const v2 = (command: string, family: string, body: string): Buffer => {
  const size = (body.length / 2).toString(16).padStart(4, '0');
  return Buffer.from(`${SIGNATURE}${command}${family}${size}${body}`, 'hex');
};
const V4 = 'c000020ac63364011f9001bb';
const V6 = '20010db8000000000000000000000001'.repeat(2) + '1f9001bb';

describe('a header of the PROXY protocol', () => {
  test.each([
    ['PROXY TCP4 192.0.2.10 198.51.100.1 56324 443\r\n', '192.0.2.10'],
    ['PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n', '2001:db8::1'],
    ['PROXY UNKNOWN\r\n', undefined],
    ['PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n', undefined],
  ])('of version 1: %j', (text, address) => {
    const bytes = Buffer.from(text);
    expect(parseProxyHeader(bytes)).toEqual({ address, length: bytes.length });
    expect(parseProxyHeader(Buffer.concat([bytes, Buffer.from('GET /')]))).toEqual({
      address,
      length: bytes.length,
    });
    for (let end = 0; end < bytes.length; end++)
      expect(parseProxyHeader(bytes.subarray(0, end))).toBe('more');
  });

  test.each([
    ['TCP over IPv4', v2('21', '11', V4), '192.0.2.10'],
    ['TCP over IPv6', v2('21', '21', V6), '2001:db8::1'],
    ['with further fields', v2('21', '11', `${V4}030004deadbeef`), '192.0.2.10'],
    ["the balancer's own", v2('20', '00', ''), undefined],
    ['a UNIX socket', v2('21', '31', '00'.repeat(216)), undefined],
  ])('of version 2: %s', (_name, bytes, address) => {
    expect(parseProxyHeader(bytes)).toEqual({ address, length: bytes.length });
    for (let end = 0; end < bytes.length; end++)
      expect(parseProxyHeader(bytes.subarray(0, end))).toBe('more');
  });

  test.each([
    ['GET / HTTP/1.1\r\n'],
    ['CONNECT a:443 HTTP/1.1\r\n'],
    ['\x16\x03\x01\x02\x00'],
    ['PROXY TCP4 2001:db8::1 198.51.100.1 1 2\r\n'],
    ['PROXY TCP4 192.0.2.10 198.51.100.1 1\r\n'],
    ['PROXY TCP4 192.0.2.10 198.51.100.1 1 70000\r\n'],
    ['PROXY TCP4 010.0.0.1 198.51.100.1 1 2\r\n'],
    ['PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n'],
    ['PROXY UDP4 192.0.2.10 198.51.100.1 1 2\r\n'],
    [`PROXY UNKNOWN ${'x'.repeat(200)}`],
  ])('is not %j', (text) => {
    expect(parseProxyHeader(Buffer.from(text, 'latin1'))).toBe('invalid');
  });

  test.each([
    ['another version', v2('31', '11', V4)],
    ['another command', v2('22', '11', V4)],
    ['addresses that are cut', v2('21', '11', V4.slice(2))],
    ['more than any balancer sends', v2('21', '11', V4 + '00'.repeat(2048))],
  ])('is not one with %s', (_name, bytes) => {
    expect(parseProxyHeader(bytes)).toBe('invalid');
  });

  test('whatever the bytes, it is one, none, or not whole yet; and a bounded number of bytes tells', () => {
    const begun = fc.constantFrom(Buffer.from('PROXY '), Buffer.from(SIGNATURE, 'hex'), Buffer.alloc(0));
    fc.assert(
      fc.property(begun, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
        const parsed = parseProxyHeader(Buffer.concat([start, rest]));
        const length = typeof parsed === 'object' ? parsed.length : 0;
        expect(length).toBeLessThanOrEqual(start.length + rest.length);
        expect(parseProxyHeader(Buffer.concat([start, rest, Buffer.alloc(3000)]))).not.toBe('more');
      }),
    );
  });
});
