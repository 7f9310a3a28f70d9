import type { IdentitySeal } from '../cache/identity-seal.ts';
import type { Config } from '../config/config.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import { pickHeaders } from '../registry/headers.ts';
import type { ReplyKey, ReplyTable, StoredReply } from '../store/index/reply-table.ts';
import { createFlights } from '../upstream/flights.ts';
import { ANONYMOUS, type Identity } from '../upstream/identity.ts';
import { isOutage } from '../upstream/outage.ts';
import { toRefusal } from '../upstream/refusal.ts';
import { readSmallBody } from '../upstream/token-answer.ts';
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs } from './pass-through.ts';
import { orGiveUp, withPatience } from './patience.ts';
import { sendWhole } from './send-error.ts';

/** Serves a repository's tag list, or the referrers of a manifest. */
export type PullListing = (exchange: Exchange) => Promise<void>;

/** How long a list is believed, in milliseconds: a push shows in it at once. */
export const LIST_FRESH_MS = 5_000;
const KEPT = ['content-type', 'link', 'oci-filters-applied', 'warning', 'docker-distribution-api-version'];

export interface PullListingParts {
  readonly upstream: Upstream;
  readonly replies: ReplyTable;
  readonly seal: IdentitySeal;
  readonly config: Pick<Config, 'tagStaleTime' | 'privateStaleTime' | 'privateImages'>;
  readonly now: () => number;
}

export function createPullListing({ upstream, replies, seal, config, now }: PullListingParts): PullListing {
  const flights = createFlights<StoredReply>();

  /** Milliseconds for which a list may stand in for an upstream that cannot answer. */
  function staleTime({ kind }: Identity): number {
    return kind === 'client' ? Math.min(config.tagStaleTime, config.privateStaleTime) : config.tagStaleTime;
  }

  /** Under another policy the proxy may have been told what is not for its clients. */
  function keyOf(identity: Identity): string {
    if (identity.kind === 'client') return seal(identity.key);
    return config.privateImages === 'shared' ? identity.kind : ANONYMOUS.kind;
  }

  /** A query may hold anything, and the disk is to hold no secret. */
  function sealedPath(target: string): string {
    const question = target.indexOf('?');
    return question === -1 ? target : `${target.slice(0, question)}?${seal(target.slice(question))}`;
  }

  /** Asks what the client asks, but for the whole list: not for its headers alone, nor whether it has changed. */
  const wholeUpstream: Upstream = {
    ask: (request) =>
      upstream.ask({ ...request, method: 'GET', follow: true, headers: unconditional(request.headers) }),
  };

  async function ask(exchange: Exchange, key: ReplyKey): Promise<StoredReply> {
    const { registry } = exchange;
    const answer = await askAsIs(wholeUpstream, exchange);
    if (answer.status !== 200) throw await toRefusal(answer);
    const body = await readSmallBody(answer.body, answer.host);
    const headers = pickHeaders(answer.headers, KEPT);
    const { link } = headers;
    if (typeof link === 'string' && answer.host !== registry.name) {
      headers['link'] = linkBack(link, key.path);
    }
    const reply = { status: 200, headers, body, storedAt: now() };
    replies.put(key, reply);
    return reply;
  }

  return async (exchange) => {
    const { registry, identity, request, outcome } = exchange;
    const key: ReplyKey = {
      registry: registry.name,
      path: sealedPath(request.url ?? ''),
      identity: keyOf(identity),
    };
    const known = replies.find(key);
    const age = known === undefined ? Infinity : now() - known.storedAt;
    if (known !== undefined && age < LIST_FRESH_MS) {
      outcome.cacheStatus = 'HIT';
      return sendWhole(exchange, known.status, known.headers, known.body);
    }
    const usable = age < LIST_FRESH_MS + staleTime(identity) ? known : undefined;
    outcome.cacheStatus = known === undefined ? 'MISS' : 'EXPIRED';
    let reply: StoredReply;
    try {
      const asked = flights.share(`${key.identity} ${key.registry} ${key.path}`, () => ask(exchange, key));
      reply = await (usable === undefined ? orGiveUp(asked, exchange) : withPatience(asked, usable));
    } catch (thrown) {
      const error = asBreakwaterError(thrown);
      if (usable === undefined || !isOutage(error)) throw error;
      reply = usable;
    }
    if (reply === usable) outcome.cacheStatus = 'STALE';
    sendWhole(exchange, reply.status, reply.headers, reply.body);
  };
}

/** The next page by the path that the client knows: a redirect led to another host, with paths of its own. */
function linkBack(link: string, path: string): string {
  const [own = ''] = path.split('?');
  return link.replace(/^<[^?>]*/, `<${own}`);
}

function unconditional(headers: UpstreamRequest['headers']): UpstreamRequest['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^(if-|range$)/.test(name)));
}
