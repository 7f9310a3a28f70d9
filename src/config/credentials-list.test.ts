import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCredentialsList } from './credentials-list.ts';

function parsed(text: string, between = ' ', within = ':'): readonly string[] {
  return parseCredentialsList(text, between, within).map(
    ({ host, repository, username, password }) =>
      `${host}${repository === undefined ? '' : `/${repository.source}`}|${username}|${password.reveal()}`,
  );
}

describe('parseCredentialsList', () => {
  test('host, user and password, divided by spaces', () => {
    expect(parsed('auth.docker.io:me:secret quay.io:you:word')).toEqual([
      'auth.docker.io|me|secret',
      'quay.io|you|word',
    ]);
    expect(parsed(' a.io:u:p\n  b.io:u:p\t')).toEqual(['a.io|u|p', 'b.io|u|p']);
    expect(parsed('')).toEqual([]);
  });

  test('the example entries are ignored', () => {
    expect(parsed('some.authenticated.registry:oneuser:onepassword another.registry:user:password')).toEqual(
      [],
    );
    expect(parsed('another.registry:user:other')).toEqual(['another.registry|user|other']);
  });

  test('a key of Google with spaces, colons and line ends', () => {
    const key = '{\n  "type": "service_account",\n  "url": "https://x:1/y"\n}';
    expect(parsed(`gcr.io:::_json_key:::${key};;;auth.docker.io:::me:::secret`, ';;;', ':::')).toEqual([
      `gcr.io|_json_key|${key}`,
      'auth.docker.io|me|secret',
    ]);
  });

  test.each([
    ['"a.io:u:p b.io:u:p"', ' '],
    ["'a.io:u:p b.io:u:p'", ' '],
    ['"a.io:u:p" "b.io:u:p"', ' '],
    [`"'a.io:u:p' 'b.io:u:p'"`, ' '],
    ['"a.io:u:p;;;b.io:u:p"', '";;;"'],
    ['"a.io:u:p";;;"b.io:u:p"', "';;;'"],
  ])('quotes around the whole, the entries and the delimiters are taken off: %s', (text, between) => {
    expect(parsed(text, between, '":"')).toEqual(['a.io|u|p', 'b.io|u|p']);
  });

  test('a quote that belongs to a password stays', () => {
    expect(parsed(`a.io:u:p" b.io:u:"p`)).toEqual(['a.io|u|p"', 'b.io|u|"p']);
  });

  test('the password may hold the delimiter, the host a port', () => {
    expect(parsed('a.io:u:p:q:r')).toEqual(['a.io|u|p:q:r']);
    expect(parsed('reg.local:5000:u:p')).toEqual(['reg.local:5000|u|p']);
    expect(parsed('reg.local:5000:u:p:q')).toEqual(['reg.local:5000|u|p:q']);
    expect(parsed('reg.local:443:u:p')).toEqual(['reg.local|u|p']);
    expect(parsed('[::1]:5000:u:p [0::2]:v:q')).toEqual(['[::1]:5000|u|p', '[::2]|v|q']);
    expect(parsed('a.io:12345:p')).toEqual(['a.io|12345|p']);
    expect(parsed('reg.local:5000|u|p', ' ', '|')).toEqual(['reg.local:5000|u|p']);
  });

  test('a pattern of repositories behind the host', () => {
    expect(parsed('a.io/team/*:u:p a.io:v:q reg.local:5000/x:u:p:q')).toEqual([
      'a.io/team/*|u|p',
      'a.io|v|q',
      'reg.local:5000/x|u|p:q',
    ]);
  });

  test.each([
    ['a.io/x:u:secret a.io/x:v:secret', 'entry 2 repeats a.io/x'],
    ['a.io/:u:secret', 'the pattern is blank'],
    ['a.io:secret', 'entry 1'],
    ['b.io:u:p a.io:u:', 'entry 2'],
    ['https://a.io:u:secret', 'entry 1'],
    ['a.io:u:secret A.IO:u:secret', 'entry 2'],
  ])('%s is refused by its position, its secrets unsaid', (text, place) => {
    expect(() => parsed(text)).toThrow(place);
    expect(() => parsed(text)).not.toThrow('secret');
  });

  test('what is written is what is read, whatever the password holds', () => {
    const user = fc.stringMatching(/^[a-z_]{1,10}$/);
    const password = fc
      .stringMatching(/^[!#-&(-9;-~]([ -~]{0,20}[!#-&(-9;-~])?$/)
      .filter((text) => !text.includes(';;;') && !text.endsWith(';'));
    fc.assert(
      fc.property(fc.uniqueArray(fc.domain(), { maxLength: 4 }), user, password, (hosts, name, word) => {
        const text = hosts.map((host) => `${host}:::${name}:::${word}`).join(';;;');
        expect(parsed(text, ';;;', ':::')).toEqual(
          hosts.map((host) => `${host.toLowerCase()}|${name}|${word}`),
        );
      }),
    );
  });
});
