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
 * Which limit a 429 spoke of: `pulls`, counted on manifests alone and bound to an identity, or `requests`, by
 * which a registry defends itself against a client that asks too often.
 */
export type LimitKind = 'pulls' | 'requests';

/** What is known of the registries' limits, by registry and identity. */
export interface RateLimits {
  /** Notes what an answer's headers say. */
  observe(registry: string, identity: Identity, headers: Headers): void;
  /** Notes a 429; `body` tells the two kinds of Docker Hub's apart. */
  refused(registry: string, identity: Identity, headers: Headers, body: string): void;
  /** Milliseconds for which such a request is better not made; 0 where nothing is in its way. */
  holdOff(registry: string, identity: Identity, counted: boolean): number;
  /** True where what is left of the pull limit is to be kept for content that is not in the cache. */
  isLow(registry: string, identity: Identity): boolean;
  all(): readonly { readonly registry: string; readonly identity: string; readonly limit: RateLimit }[];
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

interface State {
  limit: RateLimit | undefined;
  /** When the figure of `limit` was read, in milliseconds. */
  at: number;
  readonly until: Record<LimitKind, number>;
  readonly refusals: Record<LimitKind, number>;
}

const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 5 * 60_000;

/** @param reserve pulls that are kept back (`RATE_LIMIT_RESERVE`). */
export function createRateLimits(reserve: number, log: Logger, now: () => number): RateLimits {
  const states = new Map<string, State>();

  function stateOf(registry: string, identity: Identity): State {
    const key = `${registry} ${identityKey(identity)}`;
    const known = states.get(key);
    if (known !== undefined) return known;
    const state: State = {
      limit: undefined,
      at: 0,
      until: { pulls: 0, requests: 0 },
      refusals: { pulls: 0, requests: 0 },
    };
    states.set(key, state);
    return state;
  }

  function low({ limit, at }: State): boolean {
    if (limit === undefined || limit.remaining > reserve) return false;
    return now() - at < (limit.window ?? 3_600) * 1_000;
  }

  return {
    observe(registry, identity, headers) {
      const limit = parseRateLimit(headers);
      if (limit === undefined) return;
      const state = stateOf(registry, identity);
      const wasLow = low(state);
      state.limit = limit;
      state.at = now();
      state.refusals.pulls = 0;
      if (low(state) && !wasLow) {
        log.warn(
          { registry, ...limit },
          'pull limit nearly spent: tags are served from the cache where it can',
        );
      }
    },
    refused(registry, identity, headers, body) {
      const kind = limitKind(headers, body);
      const state = stateOf(registry, identity);
      const growing = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** state.refusals[kind]);
      const pause = retryAfter(headers, now()) ?? growing;
      state.refusals[kind] += 1;
      state.until[kind] = now() + pause;
      log.warn({ registry, kind, pause }, 'registry refuses requests for now: it is left alone meanwhile');
    },
    holdOff(registry, identity, counted) {
      const { until } = stateOf(registry, identity);
      return Math.max(0, until.requests - now(), counted ? until.pulls - now() : 0);
    },
    isLow: (registry, identity) => low(stateOf(registry, identity)),
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
function limitKind(headers: Headers, body: string): LimitKind {
  if (figure(headers['ratelimit-remaining']) !== undefined || /pull rate limit|TOOMANYREQUESTS/i.test(body))
    return 'pulls';
  return 'requests';
}

/** `Retry-After` in milliseconds, given in seconds or as a date (RFC 9110, 10.2.3). */
function retryAfter(headers: Headers, now: number): number | undefined {
  const text = String(headers['retry-after'] ?? '').trim();
  if (/^\d{1,6}$/.test(text)) return Number(text) * 1_000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
