import { expect, test } from 'vitest';
import { parseAdminListen } from './admin-listen.ts';

test.each([
  ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080, ifFree: false }],
  [' [::1]:8080 if free ', { host: '::1', port: 8080, ifFree: true }],
  ['9090 If  Free', { host: '0.0.0.0', port: 9090, ifFree: true }],
  ['off', 'off'],
  [' OFF ', 'off'],
])('%j is understood', (text, address) => {
  expect(parseAdminListen(text)).toEqual(address);
});

test.each(['', 'on', 'if free', '127.0.0.1:8080 if', '127.0.0.1:8080if free', 'off if free'])(
  '%j is refused',
  (text) => {
    expect(() => parseAdminListen(text)).toThrow('it is not a listen address');
  },
);
