import { createHash, timingSafeEqual } from 'node:crypto';

/** Checks a password against what an htpasswd file holds of it. */
export type PasswordHash = (password: string) => Promise<boolean>;

const BCRYPT = /^\$2[aby](\$(\d\d)\$[./A-Za-z0-9]{53})$/;
const APR1 = /^\$apr1\$([./A-Za-z0-9]{1,8})\$([./A-Za-z0-9]{22})$/;
const SHA1 = /^\{SHA\}([A-Za-z0-9+/]{27}=)$/;
/** Twice the work each; with this one a check takes a few seconds. */
const MAX_BCRYPT_COST = 16;
/** More is no password, and hashing it costs time. */
const MAX_PASSWORD_BYTES = 1024;

/** Reads a hash as htpasswd writes it: bcrypt, `apr1` or `{SHA}`; undefined for all else. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  const verify = parseBcrypt(text) ?? parseApr1(text) ?? parseSha1(text);
  if (verify === undefined) return undefined;
  return async (password) => Buffer.byteLength(password) <= MAX_PASSWORD_BYTES && verify(password);
}

function parseBcrypt(text: string): PasswordHash | undefined {
  const [, rest, cost] = BCRYPT.exec(text) ?? [];
  if (rest === undefined || Number(cost) < 4 || Number(cost) > MAX_BCRYPT_COST) return undefined;
  return async (password) => {
    const { compare } = await import('bcrypt');
    // the letter names who fixed the same fault; the library knows one of them
    return compare(password, `$2b${rest}`);
  };
}

function parseApr1(text: string): PasswordHash | undefined {
  const [, salt, expected] = APR1.exec(text) ?? [];
  if (salt === undefined || expected === undefined) return undefined;
  return async (password) => sameText(apr1(Buffer.from(password), salt), expected);
}

function parseSha1(text: string): PasswordHash | undefined {
  const [, expected] = SHA1.exec(text) ?? [];
  if (expected === undefined) return undefined;
  return async (password) => sameText(createHash('sha1').update(password).digest('base64'), expected);
}

/** Both have one length each, whatever the password. */
function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

/** Apache's variant of the MD5 crypt: https://httpd.apache.org/docs/2.4/misc/password_encryptions.html, apr_md5.c. */
function apr1(password: Buffer, salt: string): string {
  const start: (Buffer | string)[] = [password, '$apr1$', salt];
  const mixed = md5(password, salt, password);
  for (let left = password.length; left > 0; left -= 16) start.push(mixed.subarray(0, Math.min(16, left)));
  for (let bits = password.length; bits > 0; bits >>= 1) {
    start.push((bits & 1) === 1 ? Buffer.of(0) : password.subarray(0, 1));
  }
  let digest = md5(...start);
  for (let round = 0; round < 1000; round += 1) {
    const odd = round % 2 === 1;
    digest = md5(
      odd ? password : digest,
      round % 3 === 0 ? '' : salt,
      round % 7 === 0 ? '' : password,
      odd ? digest : password,
    );
  }
  return encode(digest);
}

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ORDER = [
  [0, 6, 12],
  [1, 7, 13],
  [2, 8, 14],
  [3, 9, 15],
  [4, 10, 5],
] as const;

function encode(digest: Buffer): string {
  const sixes = (value: number, count: number): string =>
    Array.from({ length: count }, (_, at) => ALPHABET[(value >> (6 * at)) & 63]).join('');
  const groups = ORDER.map(([a, b, c]) =>
    sixes((byte(digest, a) << 16) | (byte(digest, b) << 8) | byte(digest, c), 4),
  );
  return groups.join('') + sixes(byte(digest, 11), 2);
}

function byte(digest: Buffer, at: number): number {
  return digest[at] ?? 0;
}

function md5(...parts: readonly (Buffer | string)[]): Buffer {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
