import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { watchFiles } from '../../config/watched-files.ts';
import { asBreakwaterError, BreakwaterError } from '../../registry/errors.ts';
import { createFlights } from '../../upstream/flights.ts';
import { readUsersFile, type UserEntries, type UserEntry } from './users-file.ts';

/** Somebody who logged in. */
export interface User {
  readonly name: string;
  /** Whether the login still holds; a user may be removed, or given another password, while a connection lasts. */
  readonly isCurrent: () => boolean;
}

/** Those who may log in with a password. */
export interface Users {
  /**
   * The user behind a name and password; undefined where they are wrong.
   * @throws `LOGIN_BUSY` where too many wait.
   */
  verify(name: string, password: string): Promise<User | undefined>;
  /** Ends what watches the file; no login of its users holds any more. */
  close(): Promise<void>;
}

/** How long, in milliseconds, a checked password is believed without hashing it again, and a wrong one refused so. */
const BELIEVED = 5 * 60_000;
const REFUSED = 60_000;
const REMEMBERED = 1_000;
/** Hashing at once: it keeps threads busy that files and names need too. */
const AT_ONCE = 2;
const WAITING = 256;

/**
 * Reads an htpasswd file, now and whenever it changes; a change that cannot be read leaves what was known.
 * @throws `SETTING_INVALID` at the start.
 */
export async function createUsers(file: string, log: Logger): Promise<Users> {
  let entries: UserEntries = new Map();
  // what is remembered is a keyed digest, which is of no use without the key
  const key = randomBytes(32);
  const good = new LRUCache<string, true>({ max: REMEMBERED, ttl: BELIEVED });
  const bad = new LRUCache<string, true>({ max: REMEMBERED, ttl: REFUSED });
  const flights = createFlights<boolean>();
  const turn = createTurns();

  const watched = watchFiles(
    [file],
    () => {
      entries = readUsersFile(file);
      log.info({ file, users: entries.size }, 'users read again');
    },
    (thrown) => {
      const { message } = asBreakwaterError(thrown);
      log.error({ file, reason: message }, 'users cannot be read again; those known before stay');
    },
  );
  try {
    // after the watch began: a change in between would be missed
    entries = readUsersFile(file);
    // a machine that the library has no binary for must not find out at the first login
    if ([...entries.values()].some(({ hash }) => hash.startsWith('$2'))) await import('bcrypt');
  } catch (thrown) {
    await watched.close();
    throw thrown;
  }

  function matches(name: string, entry: UserEntry, password: string): Promise<boolean> {
    const digest = createHmac('sha256', key)
      .update(JSON.stringify([name, entry.hash, password]))
      .digest('base64url');
    if (good.has(digest)) return Promise.resolve(true);
    if (bad.has(digest)) return Promise.resolve(false);
    return flights.share(digest, async () => {
      const matched = await turn(() => entry.verify(password));
      // a stranger is hashed against another's entry: it must take as long, and mean nothing
      const known = matched && entry.name === name;
      (known ? good : bad).set(digest, true);
      return known;
    });
  }

  return {
    async verify(name, password) {
      const entry = entries.get(name);
      const [somebody] = entries.values();
      const compared = entry ?? somebody;
      if (compared === undefined || !(await matches(name, compared, password))) return undefined;
      return { name, isCurrent: () => entries.get(name)?.hash === compared.hash };
    },
    async close() {
      await watched.close();
      entries = new Map();
    },
  };
}

/** Runs a few at once, lets some wait, and turns the rest away. */
function createTurns(): <Value>(work: () => Promise<Value>) => Promise<Value> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (waiting.length >= WAITING) {
      throw new BreakwaterError('LOGIN_BUSY', 'too many passwords wait to be checked', {
        headers: { 'Retry-After': '1' },
      });
    }
    if (running >= AT_ONCE) await new Promise<void>((resolve) => void waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      // the turn goes to the next, and is given back where none waits
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
