import { readFileSync } from 'node:fs';
import { BreakwaterError } from '../../registry/errors.ts';
import { parsePasswordHash, type PasswordHash } from './password-hash.ts';

/** One user of an htpasswd file. */
export interface UserEntry {
  readonly name: string;
  /** The hash as it is written; another one means another password. */
  readonly hash: string;
  readonly verify: PasswordHash;
}

export type UserEntries = ReadonlyMap<string, UserEntry>;

/** @throws `SETTING_INVALID` that names the line, and never what it holds. */
export function readUsersFile(path: string): UserEntries {
  try {
    return parseUsersFile(readFileSync(path, 'utf8'), path);
  } catch (thrown) {
    if (thrown instanceof BreakwaterError) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new BreakwaterError('SETTING_INVALID', `PROXY_USERS_FILE cannot be read: ${reason}`, {
      cause: thrown,
      mend: 'Name a file that this user may read, e.g. one that `htpasswd -B -c users NAME` made.',
    });
  }
}

/** Parses lines of `name:hash`; what follows another colon is a comment, as is a line that begins with `#`. */
export function parseUsersFile(text: string, path: string): UserEntries {
  const entries = new Map<string, UserEntry>();
  for (const [index, line] of text.split('\n').entries()) {
    const content = line.trimEnd();
    if (content === '' || content.startsWith('#')) continue;
    const fail = (reason: string, mend: string): BreakwaterError =>
      new BreakwaterError('SETTING_INVALID', `PROXY_USERS_FILE: ${path}, line ${index + 1}: ${reason}`, {
        mend,
      });
    const [name = '', hash] = content.split(':');
    if (name === '' || hash === undefined) throw fail('it is not name:hash', REMAKE);
    const verify = parsePasswordHash(hash);
    if (verify === undefined) {
      throw fail('the hash is none of bcrypt (of a cost up to 16), apr1 and {SHA}', REMAKE);
    }
    if (entries.has(name)) throw fail('the user stands there twice', 'Keep one of the two lines.');
    entries.set(name, { name, hash, verify });
  }
  return entries;
}

const REMAKE = 'Make the line anew: htpasswd -B FILE NAME.';
