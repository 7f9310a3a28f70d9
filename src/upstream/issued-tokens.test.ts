import { beforeEach, describe, expect, test } from 'vitest';
import { identityOf } from './identity.ts';
import { createIssuedTokens, isLocalToken, LOCAL_LIFETIME_MS, type IssuedTokens } from './issued-tokens.ts';

let issued: IssuedTokens;
let time = 0;

beforeEach(() => {
  time = 1_000;
  issued = createIssuedTokens(() => time);
});

const behind = (token: string) => issued.identityBehind(identityOf(`Bearer ${token}`));

describe('a token of the token service', () => {
  test.each(['public', 'shared'] as const)('stands for the proxy where it is %s', (visibility) => {
    issued.remember('abc', { visibility, key: undefined }, 60_000);
    expect(behind('abc')).toEqual({ kind: 'proxy' });
    expect(issued.visibilityOf('bearer  abc')).toBe(visibility);
  });

  test('stands for its user where it was given for credentials', () => {
    issued.remember('one', { visibility: 'own', key: 'alice' }, 60_000);
    issued.remember('two', { visibility: 'own', key: 'alice' }, 60_000);
    expect(behind('one')).toEqual({ kind: 'client', authorization: 'Bearer one', key: 'alice' });
    expect(behind('two')).toMatchObject({ key: 'alice' });
  });

  test('that nobody knows, or that is over, stands for itself', () => {
    expect(behind('abc')).toMatchObject({ kind: 'client', authorization: 'Bearer abc' });
    expect(issued.visibilityOf('Bearer abc')).toBe('own');
    issued.remember('abc', { visibility: 'public', key: undefined }, 60_000);
    time += 60_001;
    expect(behind('abc')).toMatchObject({ kind: 'client' });
  });

  test('is no token in another scheme', () => {
    issued.remember('abc', { visibility: 'public', key: undefined }, 60_000);
    expect(issued.identityBehind(identityOf('Basic abc'))).toMatchObject({ kind: 'client' });
  });
});

describe('a token of the own making', () => {
  test('counts for a minute, and no two are the same', () => {
    const { token, lifetime } = issued.issue({ visibility: 'own', key: 'alice' });
    expect(lifetime).toBe(LOCAL_LIFETIME_MS);
    expect(lifetime).toBe(60_000);
    expect(behind(token)).toMatchObject({ key: 'alice' });
    expect(issued.issue({ visibility: 'own', key: 'alice' }).token).not.toBe(token);
    time += LOCAL_LIFETIME_MS + 1;
    expect(behind(token)).not.toMatchObject({ key: 'alice' });
  });

  test('is known by its form, which opens nothing', () => {
    const { token } = issued.issue({ visibility: 'public', key: undefined });
    expect(isLocalToken(`Bearer ${token}`)).toBe(true);
    expect(isLocalToken('Bearer eyJhbGciOi')).toBe(false);
    expect(behind('breakwater.guessed')).toMatchObject({ kind: 'client' });
    expect(issued.visibilityOf('Bearer breakwater.guessed')).toBe('own');
  });
});
