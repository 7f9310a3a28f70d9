import { bearerChallenge, hasBasicChallenge, parseChallenges } from '../registry/challenge.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { createFlights } from '../upstream/flights.ts';
import { urlHost } from '../registry/registry-host.ts';
import { readSmallBody } from '../upstream/token-answer.ts';
import { NOBODY } from '../upstream/identity.ts';
import { isOutage, isOutageStatus } from '../upstream/outage.ts';
import { toRefusal } from '../upstream/refusal.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { ReplyKey, ReplyTable, StoredReply } from '../store/index/reply-table.ts';
import { LONG_PATIENCE_MS, PATIENCE_MS, withPatience } from './patience.ts';
import { pickHeaders } from '../registry/headers.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs } from './pass-through.ts';
import { sendWhole } from './send-error.ts';

export type Ping = (exchange: Exchange) => Promise<void>;

/** How long a registry's answer counts, in milliseconds: what it asks for changes once in years. */
export const PING_FRESH_MS = 60_000;
const RELAYED = ['content-type', 'www-authenticate', 'docker-distribution-api-version', 'retry-after'];
/** Answers by which a registry speaks for itself; others are its trouble of the moment. */
const SETTLED = new Set([200, 401]);
/**
 * For a registry that was never pinged, and for credentials that cannot be checked: what is cached asks for none
 * here, and whose it is is told from what upstream accepted before.
 */
const NOTHING_ASKED: StoredReply = { status: 200, headers: {}, body: Buffer.from('{}'), storedAt: 0 };

/**
 * Answers `GET /v2/` so that what follows works: upstream's challenge reaches the client, which may have
 * credentials of its own, unless the proxy holds some and the client could not get at a token without them.
 * A registry that does not answer is taken to say what it said last.
 * @param intercepts whether the proxy sees the client's requests to a host; there it can help when they come.
 */
export function createPing(
  upstream: Upstream,
  credentials: Credentials,
  intercepts: (host: string, port: number) => boolean,
  replies: ReplyTable,
  now: () => number,
): Ping {
  const flights = createFlights<StoredReply>();

  async function ask(exchange: Exchange): Promise<StoredReply> {
    const answer = await askAsIs(upstream, exchange);
    if (isOutageStatus(answer.status)) throw await toRefusal(answer);
    const body = await readSmallBody(answer.body, answer.host);
    return { status: answer.status, headers: pickHeaders(answer.headers, RELAYED), body, storedAt: now() };
  }

  /** True where only the proxy can answer this challenge. */
  async function isOurs({ registry }: Exchange, { headers }: StoredReply): Promise<boolean> {
    const challenges = parseChallenges(headers['www-authenticate']);
    const bearer = bearerChallenge(challenges);
    if (bearer === undefined) {
      if (!hasBasicChallenge(challenges)) return false;
      return (await credentials.loginFor(registry.name, undefined))?.kind === 'password';
    }
    const login = await credentials.loginForRealm(registry, bearer.realm, undefined);
    if (login === undefined) return false;
    const service = urlHost(bearer.realm);
    if (!intercepts(service.host, service.port)) return true;
    // when the client asks there, it is helped with a password that is held for that host, and with nothing else
    return (await credentials.loginFor(service.name, undefined))?.kind !== 'password';
  }

  async function fresh(exchange: Exchange): Promise<StoredReply> {
    const reply = await ask({ ...exchange, identity: NOBODY });
    const settled = reply.status === 401 && (await isOurs(exchange, reply)) ? await ask(exchange) : reply;
    if (SETTLED.has(settled.status)) replies.put(keyOf(exchange), settled);
    return settled;
  }

  /** What stands in for a registry that does not answer: what it said last, or that all is well. */
  async function askOrRecall(
    exchange: Exchange,
    asked: Promise<StoredReply>,
    last: StoredReply | undefined,
  ): Promise<StoredReply> {
    const { outcome } = exchange;
    const instead = last ?? NOTHING_ASKED;
    try {
      const reply = await withPatience(asked, instead, last === undefined ? LONG_PATIENCE_MS : PATIENCE_MS);
      if (reply === instead) outcome.cacheStatus = 'STALE';
      return reply;
    } catch (thrown) {
      const error = asBreakwaterError(thrown);
      if (!isOutage(error)) throw error;
      outcome.cacheStatus = 'STALE';
      outcome.error = error;
      return instead;
    }
  }

  async function answer(exchange: Exchange): Promise<StoredReply> {
    const { identity, registry, outcome } = exchange;
    outcome.cacheStatus = 'BYPASS';
    if (identity.kind !== 'proxy') return askOrRecall(exchange, ask(exchange), undefined);
    const last = replies.find(keyOf(exchange));
    // what it says follows from the credentials, too
    const since = Math.max(credentials.changedAt, now() - PING_FRESH_MS);
    if (last !== undefined && last.storedAt > since) {
      outcome.cacheStatus = 'HIT';
      return last;
    }
    return askOrRecall(
      exchange,
      flights.share(registry.name, () => fresh(exchange)),
      last,
    );
  }

  return async (exchange) => {
    const { status, headers, body } = await answer(exchange);
    sendWhole(exchange, status, headers, body);
  };
}

function keyOf({ registry }: Exchange): ReplyKey {
  return { registry: registry.name, path: '/v2/', identity: 'proxy' };
}
