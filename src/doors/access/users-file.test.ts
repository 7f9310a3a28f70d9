import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { parseUsersFile } from './users-file.ts';

const htpasswd = (...flags: string[]): string => execFileSync('htpasswd', flags, { encoding: 'utf8' }).trim();

describe('a line that htpasswd made', () => {
  test.each([
    ['bcrypt', ['-nbB', '-C5']],
    ['apr1', ['-nbm']],
    ['{SHA}', ['-nbs']],
  ])('by %s fits its password and no other', async (_name, flags) => {
    for (const password of ['s3cret', 'pä:ss wörd', 'a'.repeat(40), 'x']) {
      const users = parseUsersFile(htpasswd(...flags, 'alice', password), 'users');
      const verify = users.get('alice')?.verify;
      expect(await verify?.(password)).toBe(true);
      for (const wrong of ['', `${password}x`, password.slice(1), password.toUpperCase(), 'y'.repeat(2000)])
        expect(await verify?.(wrong)).toBe(false);
    }
  });

  test.each(['$2a$', '$2b$', '$2y$'])('is bcrypt by any of its names: %s', async (prefix) => {
    const line = htpasswd('-nbB', '-C4', 'alice', 'pw').replace('$2y$', prefix);
    expect(await parseUsersFile(line, 'users').get('alice')?.verify('pw')).toBe(true);
  });
});

test('comments and blank lines are passed over, and so is a third field', () => {
  const text = `# people\n\nalice:${SHA}:the first\r\nbob:${SHA}\n`;
  expect([...parseUsersFile(text, 'users').keys()]).toEqual(['alice', 'bob']);
});

const SHA = '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=';

test.each([
  ['plain text', 'carol:hunter2', 'the hash is none of'],
  ['crypt', 'carol:rqXexS6ZhobKA', 'the hash is none of'],
  ['SHA-512 crypt', 'carol:$6$salt$abc', 'the hash is none of'],
  ['bcrypt that takes hours', `carol:$2y$31$${'a'.repeat(53)}`, 'the hash is none of'],
  ['no hash', 'carol', 'it is not name:hash'],
  ['no name', `:${SHA}`, 'it is not name:hash'],
  ['a user twice', `alice:${SHA}`, 'the user stands there twice'],
])('%s is refused with its line and without what it holds', (_name, line, reason) => {
  const parse = (): unknown => parseUsersFile(`alice:${SHA}\n#\n${line}\n`, '/etc/users');
  expect(parse).toThrow(`/etc/users, line 3: ${reason}`);
  expect(parse).not.toThrow(/hunter2|rqXex|\$6/);
});
