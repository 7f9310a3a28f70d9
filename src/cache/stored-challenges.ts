import { LRUCache } from 'lru-cache';
import type { ReplyKey, ReplyTable } from '../store/index/reply-table.ts';

/** Which repositories asked for credentials, and how; a restart changes nothing. */
export interface StoredChallenges {
  /** The value of `WWW-Authenticate`. */
  find(registry: string, repository: string, asker: string): string | undefined;
  put(registry: string, repository: string, asker: string, challenge: string): void;
  delete(registry: string, repository: string, asker: string): void;
}

const MAX_ENTRIES = 10_000;
const NONE = '';

export function createStoredChallenges(replies: ReplyTable, now: () => number): StoredChallenges {
  const known = new LRUCache<string, string>({ max: MAX_ENTRIES });
  const keyOf = (registry: string, repository: string, asker: string): ReplyKey => ({
    registry,
    path: `/v2/${repository}/`,
    identity: asker,
  });

  const find: StoredChallenges['find'] = (registry, repository, asker) => {
    const name = `${asker} ${registry} ${repository}`;
    let challenge = known.get(name);
    if (challenge === undefined) {
      const { headers = {} } = replies.find(keyOf(registry, repository, asker)) ?? {};
      challenge = headers['www-authenticate']?.toString() ?? NONE;
      known.set(name, challenge);
    }
    return challenge === NONE ? undefined : challenge;
  };

  return {
    find,
    put(registry, repository, asker, challenge) {
      if (find(registry, repository, asker) === challenge) return;
      known.set(`${asker} ${registry} ${repository}`, challenge);
      replies.put(keyOf(registry, repository, asker), {
        status: 401,
        headers: { 'www-authenticate': challenge },
        body: Buffer.alloc(0),
        storedAt: now(),
      });
    },
    delete(registry, repository, asker) {
      if (find(registry, repository, asker) === undefined) return;
      known.set(`${asker} ${registry} ${repository}`, NONE);
      replies.delete(keyOf(registry, repository, asker));
    },
  };
}
