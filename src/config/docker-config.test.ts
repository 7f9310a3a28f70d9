import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { parseDockerConfig } from './docker-config.ts';

const parse = (value: unknown): ReturnType<typeof parseDockerConfig> =>
  parseDockerConfig('/c.json', typeof value === 'string' ? value : JSON.stringify(value));
/** What is thrown; undefined where it is read. */
function refusalOf(value: unknown): unknown {
  try {
    parse(value);
    return undefined;
  } catch (thrown) {
    return thrown;
  }
}
const auth = (pair: string): string => Buffer.from(pair).toString('base64');
const shown = (value: unknown): readonly string[] =>
  parse(value).logins.map(
    ({ host, repository, kind, username, secret }) =>
      `${host} ${repository?.source ?? '-'} ${kind} ${username} ${secret.reveal()}`,
  );

describe('a Docker configuration', () => {
  test('holds logins, as Docker and kubectl write them', () => {
    expect(
      shown({
        auths: {
          'https://index.docker.io/v1/': { auth: auth('me:s3:cret') },
          'Quay.io': { username: 'robot', password: 'word', email: 'x@y' },
          'http://plain.local:5000': { auth: auth('a:b'), username: 'ignored' },
          '*.pkg.dev': { auth: auth('_json_key:{}') },
          'in.the.helper': {},
        },
      }),
    ).toEqual([
      'index.docker.io - password me s3:cret',
      'quay.io - password robot word',
      'plain.local:5000 - password a b',
      '*.pkg.dev - password _json_key {}',
    ]);
  });

  test('holds identity tokens', () => {
    expect(shown({ auths: { 'x.azurecr.io': { auth: auth('0000:'), identitytoken: 'abc' } } })).toEqual([
      'x.azurecr.io - refresh-token 0000 abc',
    ]);
  });

  test('may have paths behind its hosts, as podman writes them; the longer come first', () => {
    const { logins } = parse({
      auths: {
        'quay.io': { auth: auth('all:p') },
        'quay.io/team': { auth: auth('team:p') },
        'quay.io/team/app.x': { auth: auth('app:p') },
      },
    });
    expect(logins.map(({ username }) => username)).toEqual(['app', 'team', 'all']);
    const matches = (repository: string): boolean[] =>
      logins.map((login) => login.repository?.matches(repository) ?? true);
    expect(matches('team/app.x')).toEqual([true, true, true]);
    expect(matches('team/appzx')).toEqual([false, true, true]);
    expect(matches('teams/app')).toEqual([false, false, true]);
    expect(matches('my/team')).toEqual([false, false, true]);
  });

  test('names helpers', () => {
    const { helpers, store } = parse({
      credHelpers: { 'https://Gcr.io': 'gcr', '1.dkr.ecr.us-east-1.amazonaws.com': 'ecr-login' },
      credsStore: 'pass',
    });
    expect([...helpers]).toEqual([
      ['gcr.io', 'gcr'],
      ['1.dkr.ecr.us-east-1.amazonaws.com', 'ecr-login'],
    ]);
    expect(store).toBe('pass');
    expect(parse({ credsStore: '' }).store).toBeUndefined();
  });

  test('may be of the older form, without "auths"', () => {
    expect(shown({ 'quay.io': { auth: auth('a:b') } })).toEqual(['quay.io - password a b']);
  });

  test.each([{}, { HttpHeaders: { 'User-Agent': 'x' }, psFormat: 'table' }, { currentContext: 'x' }])(
    'may say nothing of logins: %j',
    (value) => {
      expect(parse(value)).toEqual({ logins: [], helpers: new Map(), store: undefined });
    },
  );

  test.each([
    '',
    'hunter2',
    '{"auths":',
    '[]',
    '"hunter2"',
    { auths: 'hunter2' },
    { auths: { 'a.io': 'hunter2' } },
    { auths: { 'a.io': { auth: 7, password: 'hunter2' } } },
    { auths: { 'a.io': { auth: auth('hunter2') } } },
    { auths: {}, credHelpers: { 'a.io': '../hunter2' } },
    { auths: {}, credsStore: 'x; hunter2' },
  ])('is refused, and not quoted: %j', (value) => {
    const refused = refusalOf(value);
    expect(refused).toBeInstanceOf(BreakwaterError);
    expect(refused).toMatchObject({ code: 'SETTING_INVALID' });
    const { message, mend } = refused as BreakwaterError;
    expect(message).toContain('/c.json');
    expect(message + String(mend)).not.toMatch(/hunter2|aHVudGVy/);
  });

  test('is read or refused, whatever it is', () => {
    const value = fc.oneof(
      fc.json(),
      fc.json().map((text) => `{"auths":{"a.io":${text}}}`),
    );
    fc.assert(
      fc.property(value, (text) => {
        expect(refusalOf(text) ?? new BreakwaterError('SETTING_INVALID', '')).toBeInstanceOf(BreakwaterError);
      }),
    );
  });
});
