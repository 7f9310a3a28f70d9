import { describe, expect, test } from 'vitest';
import { plainHost, registryHost, registryUrl, urlHost } from './registry-host.ts';

describe('the name of a registry', () => {
  test.each([
    ['Quay.IO', 443, 'https', 'quay.io'],
    ['quay.io.', 443, 'https', 'quay.io'],
    ['quay.io', 5000, 'https', 'quay.io:5000'],
    ['quay.io', 80, 'http', 'quay.io:80'],
    ['quay.io', 443, 'http', 'quay.io'],
    ['[::1]', 5000, 'http', '[::1]:5000'],
    ['0:0:0:0:0:0:0:1', 443, 'https', '[::1]'],
    ['fe80::1%eth0', 5000, 'http', '[fe80::1%eth0]:5000'],
  ] as const)('%s at port %i by %s is %s', (host, port, scheme, name) => {
    expect(registryHost(host, port, scheme).name).toBe(name);
  });

  test('is one for each host and port, and a URL has the same', () => {
    for (const [url, name] of [
      ['https://a.example/x', 'a.example'],
      ['http://a.example/x', 'a.example:80'],
      ['http://[::1]:5000/x', '[::1]:5000'],
    ] as const) {
      const registry = urlHost(new URL(url));
      expect(registry.name).toBe(name);
      expect(registryUrl(registry, '/x').href).toBe(url);
    }
  });

  test.each(['::1', '[::1]', '0::1', '[0:0::0:1]'])('%s is one host', (host) => {
    expect(plainHost(host)).toBe('::1');
  });
});
