import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHostName } from './host-name.ts';
import { BreakwaterError } from '../registry/errors.ts';

describe('a host name', () => {
  it.each([
    ['QUAY.IO', 'quay.io'],
    ['quay.io.', 'quay.io'],
    ['my_registry', 'my_registry'],
    ['[::1]', '::1'],
    ['FD00:0:0::1', 'fd00::1'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['10.0.0.1', '10.0.0.1'],
  ])('%s is known as %s', (host, text) => {
    expect(parseHostName(host).text).toBe(text);
  });

  it.each([
    '',
    '.',
    'a..b',
    '-a.io',
    'a-.io',
    '*.quay.io',
    'quay.io:443',
    'quay io',
    'quay.io\n',
    'quay.io\0evil',
    'qu\u00e4y.io',
    '[quay.io]',
    '[::1',
    'fe80::1%eth0',
    '1.2.3',
    '256.1.1.1',
    `${'a'.repeat(64)}.io`,
    `${'a.'.repeat(127)}ab`,
  ])('is not %j', (host) => {
    expect(() => parseHostName(host)).toThrowError(
      expect.objectContaining({ code: 'CONNECT_TARGET_INVALID' }),
    );
  });

  it('has one spelling, which is read as itself', () => {
    fc.assert(
      fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), (host) => {
        const once = parseHostName(host);
        expect(parseHostName(once.text)).toEqual(once);
        expect(parseHostName(host.toUpperCase())).toEqual(once);
      }),
    );
  });

  it('is read or refused by name, whatever the text', () => {
    const text = fc.string({ unit: 'binary-ascii', maxLength: 20 });
    fc.assert(
      fc.property(text, (host) => {
        let outcome: string;
        try {
          outcome = parseHostName(host).text;
        } catch (error) {
          outcome = error instanceof BreakwaterError ? error.code : String(error);
        }
        expect(outcome).toMatch(/^(?:[a-z0-9._:-]+|CONNECT_TARGET_INVALID)$/);
      }),
    );
  });
});
