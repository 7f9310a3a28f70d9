import { describe, expect, test } from 'vitest';
import { parseTokenAnswer } from './token-answer.ts';

const parse = (answer: unknown): ReturnType<typeof parseTokenAnswer> =>
  parseTokenAnswer(Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer)));

describe('the answer of a token service', () => {
  test.each([
    [{ token: 'a' }, 'a'],
    [{ access_token: 'b' }, 'b'],
    [{ token: '', access_token: 'b' }, 'b'],
    [{ token: 'a', access_token: 'b' }, 'a'],
  ])('%j holds the token %s', (answer, token) => {
    expect(parse(answer)?.token).toBe(token);
  });

  test.each([
    [{ expires_in: 300 }, 300],
    [{ expires_in: '300' }, 300],
    [{}, 60],
    [{ expires_in: 0 }, 60],
    [{ expires_in: -5 }, 60],
    [{ expires_in: 'soon' }, 60],
    [{ expires_in: null }, 60],
    [{ expires_in: 1e12 }, 86_400],
  ])('%j lives for %d seconds', (answer, seconds) => {
    expect(parse({ token: 'a', ...answer })?.lifetime).toBe(seconds * 1000);
  });

  test('may hold another refresh token', () => {
    expect(parse({ token: 'a', refresh_token: 'r' })?.refreshToken).toBe('r');
    expect(parse({ token: 'a' })?.refreshToken).toBeUndefined();
  });

  test.each(['', 'null', '[]', '<html>', '{}', '{"token":7}', '{"token":"a\\r\\nx: y"}', '{"token":"a b"}'])(
    '%s is none',
    (text) => {
      expect(parse(text)).toBeUndefined();
    },
  );
});
