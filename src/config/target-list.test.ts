import { describe, expect, test } from 'vitest';
import { namesTarget, parseTargets } from './target-list.ts';

const names = (text: string, host: string, port: number): boolean =>
  parseTargets(text).some((pattern) => namesTarget(pattern, host, port));

describe('a target', () => {
  test.each([
    ['example.com', 'example.com', 22],
    ['Example.com:443', 'example.com', 443],
    ['*.example.com:443', 'a.b.example.com', 443],
    ['.example.com:443', 'example.com', 443],
    ['.example.com:443', 'a.example.com', 443],
    ['*:443', 'anything', 443],
    [':443', 'anything', 443],
    ['*', '192.0.2.1', 25],
    ['*:1024-65535', 'anything', 65_535],
    ['10.0.0.0/8:5000', '10.2.3.4', 5000],
    ['10.0.0.0/8', '::ffff:10.2.3.4', 1],
    ['[fd00::/8]:443', 'fd00::1', 443],
    ['[::1]', '::1', 443],
    ['a.example:1 b.example:2', 'b.example', 2],
  ])('%s names %s port %d', (text, host, port) => {
    expect(names(text, host, port)).toBe(true);
  });

  test.each([
    ['example.com:443', 'example.com', 80],
    ['example.com', 'a.example.com', 443],
    ['*.example.com', 'example.com', 443],
    ['.example.com', 'notexample.com', 443],
    ['*:1024-65535', 'anything', 1023],
    ['10.0.0.0/8', 'ten.example', 443],
    ['10.0.0.0/8', '11.0.0.1', 443],
  ])('%s does not name %s port %d', (text, host, port) => {
    expect(names(text, host, port)).toBe(false);
  });

  test.each([
    'example.com:99999',
    'a:9-1',
    'https://a',
    'a/b',
    '[name]:1',
    '10.0.0.0/40',
    'fd00::1:443:1:x',
    'a:',
  ])('%s is refused', (text) => {
    expect(() => parseTargets(text)).toThrow(/is no target|is neither/);
  });
});
