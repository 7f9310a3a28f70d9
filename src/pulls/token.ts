import { LRUCache } from 'lru-cache';
import { asBreakwaterError } from '../registry/errors.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { createFlights } from '../upstream/flights.ts';
import { identityOf } from '../upstream/identity.ts';
import type { IssuedTokens, TokenOwner } from '../upstream/issued-tokens.ts';
import { isOutage } from '../upstream/outage.ts';
import { parseTokenAnswer, readSmallBody } from '../upstream/token-answer.ts';
import type { Upstream, UpstreamAnswer } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs, type PassThrough } from './pass-through.ts';
import { sendWhole } from './send-error.ts';
import { readTokenForm } from './token-form.ts';

export type PassToken = (exchange: Exchange) => Promise<void>;

interface TokenReply {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
  /** Milliseconds that the token lives, where there is one. */
  readonly lifetime: number | undefined;
}

const MAX_REPLIES = 10_000;
/** A token is given to further clients for this share of its life, so that each has time to use it. */
const SHARED_LIFE = 0.5;

/**
 * Passes what clients ask of an intercepted host outside `/v2/`, its token service first of all: with the
 * configured credentials where the client brings none. A token that comes back is remembered, by its hash,
 * with whose it is, as it decides who may see what it opens. Clients without credentials that ask for the same
 * token are one question to upstream. A service that cannot be asked is stood in for: the token then opens what
 * is cached, for whom upstream let have it before.
 */
export function createPassToken(
  upstream: Upstream,
  credentials: Credentials,
  issued: IssuedTokens,
  passThrough: PassThrough,
): PassToken {
  const flights = createFlights<TokenReply>();
  const replies = new LRUCache<string, TokenReply>({ max: MAX_REPLIES });

  async function ask(exchange: Exchange, owner: TokenOwner, form?: Buffer): Promise<TokenReply> {
    let answer: UpstreamAnswer;
    let body: Buffer;
    try {
      answer = await askAsIs(upstream, exchange, form);
      body = await readSmallBody(answer.body, answer.host);
    } catch (thrown) {
      const error = asBreakwaterError(thrown);
      if (!isOutage(error)) throw error;
      exchange.outcome.cacheStatus = 'STALE';
      exchange.outcome.error = error;
      return localReply(issued, owner);
    }
    if (answer.status >= 500) {
      exchange.outcome.cacheStatus = 'STALE';
      return localReply(issued, owner);
    }
    const token = answer.status === 200 ? parseTokenAnswer(body) : undefined;
    if (token !== undefined) issued.remember(token.token, owner, token.lifetime);
    return { status: answer.status, headers: relayed(answer), body, lifetime: token?.lifetime };
  }

  /** For clients that bring nothing of their own. */
  async function askOnce(exchange: Exchange, owner: TokenOwner): Promise<TokenReply> {
    const key = `${exchange.registry.name} ${exchange.request.url ?? ''}`;
    const known = replies.get(key);
    if (known !== undefined) {
      exchange.outcome.cacheStatus = 'HIT';
      return known;
    }
    return flights.share(key, async () => {
      const reply = await ask(exchange, owner);
      const isUpstreams = exchange.outcome.cacheStatus !== 'STALE';
      if (reply.lifetime !== undefined && isUpstreams)
        replies.set(key, reply, { ttl: reply.lifetime * SHARED_LIFE });
      return reply;
    });
  }

  return async (exchange) => {
    const { request, registry, identity, outcome } = exchange;
    const anonymous = identity.kind === 'proxy' && request.method === 'GET';
    const basic = anonymous ? credentials.basicFor(registry.name) : undefined;
    const asking: Exchange = {
      ...exchange,
      identity:
        basic !== undefined ? identityOf(basic) : identity.kind === 'proxy' ? { kind: 'nobody' } : identity,
    };
    if (!isTokenRequest(exchange)) return passThrough(asking);
    outcome.cacheStatus = 'BYPASS';
    let reply: TokenReply;
    if (anonymous) {
      reply = await askOnce(asking, {
        visibility: basic === undefined ? 'public' : 'shared',
        key: undefined,
      });
    } else if (request.method === 'GET') {
      reply = await ask(asking, {
        visibility: 'own',
        key: identity.kind === 'client' ? identity.key : undefined,
      });
    } else {
      const form = await readTokenForm(request);
      reply = await ask(asking, { visibility: 'own', key: form.ownerKey }, form.body);
    }
    sendWhole(exchange, reply.status, reply.headers, reply.body);
  };
}

/** distribution-spec's token services are asked for a service or scope; OAuth2 ones by a form. */
function isTokenRequest({ request }: Exchange): boolean {
  if (request.method === 'POST') {
    return request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;
  }
  return request.method === 'GET' && /[?&](service|scope)=/.test(request.url ?? '');
}

function localReply(issued: IssuedTokens, owner: TokenOwner): TokenReply {
  const { token, lifetime } = issued.issue(owner);
  const issuedAt = new Date().toISOString();
  const body = { token, access_token: token, expires_in: lifetime / 1000, issued_at: issuedAt };
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(body)),
    lifetime,
  };
}

function relayed({ headers }: UpstreamAnswer): TokenReply['headers'] {
  const { 'content-type': type, 'www-authenticate': challenge, 'retry-after': retry, date } = headers;
  return { 'content-type': type, 'www-authenticate': challenge, 'retry-after': retry, date };
}
