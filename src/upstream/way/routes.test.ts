import { describe, expect, test } from 'vitest';
import { parseConnectionRules } from '../../config/connection-rule.ts';
import { parseNoProxy } from '../../config/no-proxy.ts';
import { parseProxyAddress, proxyName } from '../../config/proxy-address.ts';
import { createRoutes, type Traffic } from './routes.ts';

function wayTo(noProxy: string, rules = '[]') {
  const routes = createRoutes({
    httpsProxy: parseProxyAddress('http://secure:1'),
    httpProxy: parseProxyAddress('http://plain:2'),
    noProxy: parseNoProxy(noProxy),
    connections: parseConnectionRules(rules),
  });
  return (traffic: Traffic, host: string, port: number): string => {
    const hop = routes(traffic, host, port);
    return hop === undefined ? 'direct' : `${proxyName(hop.proxy)} ${hop.setting}`;
  };
}

describe('the way to a host', () => {
  test('depends on what is sent; loopback is never behind a proxy', () => {
    const way = wayTo('');
    expect(way('https', 'ghcr.io', 443)).toBe('secure:1 HTTPS_PROXY');
    expect(way('tunnel', 'ghcr.io', 80)).toBe('secure:1 HTTPS_PROXY');
    expect(way('http', 'ghcr.io', 80)).toBe('plain:2 HTTP_PROXY');
    for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])
      expect([host, way('https', host, 443)]).toEqual([host, 'direct']);
  });

  test.each([
    [
      'corp.test',
      ['corp.test', 'a.corp.test', 'A.B.corp.test'.toLowerCase()],
      ['xcorp.test', 'corp.test.evil'],
    ],
    ['.corp.test', ['corp.test', 'a.corp.test'], ['xcorp.test']],
    ['*.corp.test', ['a.corp.test'], ['corp.test', 'xcorp.test']],
    ['corp.test:443', ['corp.test', 'a.corp.test'], ['corp.tes']],
    ['corp.test:5000', [], ['corp.test']],
    ['10.0.0.0/8', ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.1', '10.corp.test']],
    ['192.0.2.7', ['192.0.2.7'], ['192.0.2.70', '192.0.2.8']],
    ['fd00::/8', ['fd00::1'], ['fe00::1']],
    ['2001:db8::1', ['2001:db8::1', '2001:db8:0::1'], ['2001:db8::2']],
    ['[2001:db8::1]:443', ['2001:db8::1'], ['2001:db8::2']],
    ['192.168.*', ['192.168.1.2'], ['192.169.1.2']],
    ['*', ['anything.test', '192.0.2.1'], []],
    ['localhost, a.test ,b.test', ['a.test', 'b.test'], ['c.test']],
  ])('NO_PROXY=%s', (noProxy, past, through) => {
    const way = wayTo(noProxy);
    for (const host of past) expect([host, way('https', host, 443)]).toEqual([host, 'direct']);
    for (const host of through)
      expect([host, way('https', host, 443)]).toEqual([host, 'secure:1 HTTPS_PROXY']);
  });

  test.each(['http://corp.test', 'a b:c', 'corp.test/8'])('NO_PROXY=%s is refused', (noProxy) => {
    expect(() => wayTo(noProxy)).toThrow('is no target');
  });

  test('is by the first rule that matches, whatever else says', () => {
    const way = wayTo(
      '*',
      '[{"host":"a.test","proxy":"socks5://s:3"},{"host":"*.test:5000","proxy":"http://p:4"},{"host":"*","verify":"true"}]',
    );
    expect(way('https', 'a.test', 443)).toBe('s:3 CONNECTION_RULES');
    expect(way('http', 'b.test', 5000)).toBe('p:4 CONNECTION_RULES');
    expect(way('https', 'b.test', 443)).toBe('direct');
    expect(wayTo('', '[{"proxy":"none"}]')('tunnel', 'a.test', 22)).toBe('direct');
  });
});
