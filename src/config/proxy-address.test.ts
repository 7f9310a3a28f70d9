import { describe, expect, test } from 'vitest';
import { asBreakwaterError } from '../registry/errors.ts';
import { parseProxyAddress, proxyName } from './proxy-address.ts';

describe('parseProxyAddress', () => {
  test.each([
    ['http://proxy.test:3128', 'http', 'proxy.test:3128'],
    ['proxy.test:3128', 'http', 'proxy.test:3128'],
    ['HTTP://Proxy.test/', 'http', 'proxy.test:80'],
    ['https://proxy.test', 'https', 'proxy.test:443'],
    ['socks5://proxy.test', 'socks5', 'proxy.test:1080'],
    ['socks5h://[2001:db8::1]:9', 'socks5', '[2001:db8::1]:9'],
    ['"http://192.0.2.1:3128"', 'http', '192.0.2.1:3128'],
  ])('%s', (text, scheme, name) => {
    const address = parseProxyAddress(text);
    expect([address?.scheme, address && proxyName(address), address?.login]).toEqual([
      scheme,
      name,
      undefined,
    ]);
  });

  test.each([
    ['http://user:p%40ss%3A%2F%25@proxy:1', 'user', 'p@ss:/%'],
    ['http://user:p:a:s@proxy:1', 'user', 'p:a:s'],
    ['http://user:p@ss@proxy:1', 'user', 'p@ss'],
    ['http://user@proxy:1', 'user', ''],
    ['http://DOMAIN%5Cuser:pass@proxy:1', 'DOMAIN\\user', 'pass'],
  ])('the login of %s', (text, username, password) => {
    const login = parseProxyAddress(text)?.login;
    expect([login?.username, login?.password.reveal()]).toEqual([username, password]);
    expect(JSON.stringify(parseProxyAddress(text))).toContain('"password":"[redacted]"');
  });

  test('is undefined for what is blank', () => {
    expect(parseProxyAddress(' ')).toBeUndefined();
  });

  test.each([
    'ftp://u:hunter2@proxy',
    'http://u:hunter2@',
    'http://u:hunter2%zz@proxy',
    'http://u:hunter2@proxy:99999',
    'http://u:hunter2@proxy/path',
    'socks4://u:hunter2@proxy',
    `socks5://u:hunter2${'x'.repeat(300)}@proxy`,
  ])('refuses %s, and does not quote it', (text) => {
    let said = '';
    try {
      parseProxyAddress(text);
    } catch (thrown) {
      const { message, mend } = asBreakwaterError(thrown);
      said = `${message} ${mend}`;
    }
    expect(said).toContain('Write http://proxy:3128');
    expect(said).not.toContain('hunter2');
  });
});
