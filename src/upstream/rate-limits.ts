import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { identityKey, type Identity } from './identity.ts';

/** What a registry said of its limit: `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 20;w=21600`. */
export interface RateLimit {
  readonly limit: number | undefined;
  readonly remaining: number;
  /** Seconds of the window the limit is for. */
  readonly window: number | undefined;
}

/**
 * What a request costs: a `pull` is counted by Docker Hub (GET of a manifest), a `check` (its HEAD) is not, but
 * may be refused with it; all else is `free`.
 */
export type Cost = 'pull' | 'check' | 'free';

/** What is known of the registries' limits, by registry and identity. */
export interface RateLimits {
  /** Notes an answer, and what its headers say of the limit. */
  observe(registry: string, identity: Identity, cost: Cost, headers: Headers): void;
  /**
   * Notes a 429; `body` tells the two kinds of Docker Hub's apart.
   * @returns milliseconds for which such a request is not made.
   */
  refused(registry: string, identity: Identity, cost: Cost, headers: Headers, body: string): number;
  /** Milliseconds for which such a request is better not made; 0 where nothing is in its way. */
  holdOff(registry: string, identity: Identity, cost: Cost): number;
  /** True where what is left of the pull limit is to be kept for content that is not in the cache. */
  isLow(registry: string, identity: Identity): boolean;
  all(): readonly { readonly registry: string; readonly identity: string; readonly limit: RateLimit }[];
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Requests that are not made for now: of one cost and all that cost more. */
interface Hold {
  until: number;
  refusals: number;
}

interface State {
  limit: RateLimit | undefined;
  /** When the figure of `limit` was read, in milliseconds. */
  at: number;
  readonly holds: Readonly<Record<Cost, Hold>>;
}

export const FIRST_PAUSE_MS = 5_000;
export const LONGEST_PAUSE_MS = 5 * 60_000;
/** The longest `Retry-After` that is honoured: Docker Hub counts in windows of six hours. */
export const LONGEST_RETRY_MS = 6 * 3_600_000;
/** The window of a limit that does not say it. */
const WINDOW_S = 3_600;
/** Clients bring identities of their own; of the oldest ones nothing is known any more. */
const MAX_STATES = 10_000;
/** The holds that are in the way of a request. */
const HELD_BY = {
  pull: ['pull', 'check', 'free'],
  check: ['check', 'free'],
  free: ['free'],
} as const satisfies Record<Cost, readonly Cost[]>;

/** @param reserve pulls that are kept back (`RATE_LIMIT_RESERVE`). */
export function createRateLimits(reserve: () => number, log: Logger, now: () => number): RateLimits {
  const states = new LRUCache<string, State>({ max: MAX_STATES });
  const keyOf = (registry: string, identity: Identity): string => `${registry} ${identityKey(identity)}`;

  function stateOf(registry: string, identity: Identity): State {
    const key = keyOf(registry, identity);
    const known = states.get(key);
    if (known !== undefined) return known;
    const hold = (): Hold => ({ until: 0, refusals: 0 });
    const state: State = { limit: undefined, at: 0, holds: { pull: hold(), check: hold(), free: hold() } };
    states.set(key, state);
    return state;
  }

  function low({ limit, at }: State): boolean {
    if (limit === undefined || limit.remaining > reserve()) return false;
    return now() - at < (limit.window ?? WINDOW_S) * 1_000;
  }

  return {
    observe(registry, identity, cost, headers) {
      const limit = parseRateLimit(headers);
      const known = states.get(keyOf(registry, identity));
      // an answer shows that nothing is in the way of such requests any more
      if (known !== undefined) for (const held of HELD_BY[cost]) known.holds[held].refusals = 0;
      if (limit === undefined) return;
      const state = known ?? stateOf(registry, identity);
      const wasLow = low(state);
      state.limit = limit;
      state.at = now();
      if (low(state) && !wasLow) {
        log.warn(
          { registry, ...limit },
          'pull limit nearly spent: tags are served from the cache where it can',
        );
      }
    },
    refused(registry, identity, cost, headers, body) {
      const { holds } = stateOf(registry, identity);
      const held: Cost = cost !== 'free' && isPullLimit(headers, body) ? cost : 'free';
      const hold = holds[held];
      const growing = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** hold.refusals);
      const pause = retryAfter(headers, now()) ?? growing;
      // of all that were under way when the limit was hit only the first makes the pause grow
      if (now() >= hold.until) {
        hold.refusals += 1;
        const kind = held === 'free' ? 'requests' : 'pulls';
        log.warn({ registry, kind, pause }, 'registry refuses requests for now: it is left alone meanwhile');
      }
      hold.until = Math.max(hold.until, now() + pause);
      return pause;
    },
    holdOff(registry, identity, cost) {
      const holds = states.get(keyOf(registry, identity))?.holds;
      if (holds === undefined) return 0;
      return Math.max(0, ...HELD_BY[cost].map((held) => holds[held].until - now()));
    },
    isLow(registry, identity) {
      const state = states.get(keyOf(registry, identity));
      return state !== undefined && low(state);
    },
    all: () =>
      [...states].flatMap(([key, { limit }]) => {
        const [registry = '', identity = ''] = key.split(' ');
        return limit === undefined ? [] : [{ registry, identity, limit }];
      }),
  };
}

/** Parses the limit headers; undefined where the registry says nothing of one. */
export function parseRateLimit(headers: Headers): RateLimit | undefined {
  const remaining = figure(headers['ratelimit-remaining']);
  if (remaining === undefined) return undefined;
  const limit = figure(headers['ratelimit-limit']);
  return { limit: limit?.count, remaining: remaining.count, window: remaining.window ?? limit?.window };
}

function figure(
  header: string | string[] | undefined,
): { count: number; window: number | undefined } | undefined {
  const [, count, window] = /^\s*(\d{1,9})\s*(?:;\s*w\s*=\s*(\d{1,9}))?/.exec(String(header ?? '')) ?? [];
  return count === undefined
    ? undefined
    : { count: Number(count), window: window === undefined ? undefined : Number(window) };
}

/** Docker Hub's pull limit answers in JSON and with limit headers; its abuse limit with a bare sentence. */
function isPullLimit(headers: Headers, body: string): boolean {
  return (
    figure(headers['ratelimit-remaining']) !== undefined || /pull rate limit|TOOMANYREQUESTS/i.test(body)
  );
}

/** `Retry-After` in milliseconds, given in seconds or as a date (RFC 9110, 10.2.3); undefined where it says nothing. */
function retryAfter(headers: Headers, now: number): number | undefined {
  const text = String(headers['retry-after'] ?? '').trim();
  const time = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return time > 0 ? Math.min(LONGEST_RETRY_MS, time) : undefined;
}
