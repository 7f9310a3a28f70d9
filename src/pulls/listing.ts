import { asBreakwaterError } from '../registry/errors.ts';
import { pickHeaders } from '../registry/headers.ts';
import type { ReplyKey, ReplyTable, StoredReply } from '../store/index/reply-table.ts';
import { createFlights } from '../upstream/flights.ts';
import { identityKey } from '../upstream/identity.ts';
import { isOutage } from '../upstream/outage.ts';
import { toRefusal } from '../upstream/refusal.ts';
import { readSmallBody } from '../upstream/token-answer.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs } from './pass-through.ts';
import { withPatience } from './patience.ts';
import { sendWhole } from './send-error.ts';

/** Serves a repository's tag list, or the referrers of a manifest. */
export type PullListing = (exchange: Exchange) => Promise<void>;

/** How long a list is believed, in milliseconds: a push shows in it at once. */
const FRESH_MS = 5_000;
const KEPT = ['content-type', 'link', 'oci-filters-applied', 'warning', 'docker-distribution-api-version'];

/** @param staleTime milliseconds for which a list may stand in for an upstream that cannot answer. */
export function createPullListing(
  upstream: Upstream,
  replies: ReplyTable,
  staleTime: number,
  now: () => number,
): PullListing {
  const flights = createFlights<StoredReply>();

  async function ask(exchange: Exchange, key: ReplyKey): Promise<StoredReply> {
    const answer = await askAsIs(upstream, exchange);
    if (answer.status !== 200) throw await toRefusal(answer);
    const body = await readSmallBody(answer.body, answer.host);
    const reply = { status: 200, headers: pickHeaders(answer.headers, KEPT), body, storedAt: now() };
    replies.put(key, reply);
    return reply;
  }

  return async (exchange) => {
    const { registry, identity, request, outcome } = exchange;
    const key: ReplyKey = {
      registry: registry.name,
      path: request.url ?? '',
      identity: identityKey(identity),
    };
    const known = replies.find(key);
    const age = known === undefined ? Infinity : now() - known.storedAt;
    if (known !== undefined && age < FRESH_MS) {
      outcome.cacheStatus = 'HIT';
      return sendWhole(exchange, known.status, known.headers, known.body);
    }
    const usable = age < FRESH_MS + staleTime ? known : undefined;
    outcome.cacheStatus = known === undefined ? 'MISS' : 'EXPIRED';
    let reply: StoredReply;
    try {
      reply = await withPatience(
        flights.share(`${key.identity} ${key.registry} ${key.path}`, () => ask(exchange, key)),
        usable,
      );
    } catch (thrown) {
      const error = asBreakwaterError(thrown);
      if (usable === undefined || !isOutage(error)) throw error;
      reply = usable;
    }
    if (reply === usable) outcome.cacheStatus = 'STALE';
    sendWhole(exchange, reply.status, reply.headers, reply.body);
  };
}
