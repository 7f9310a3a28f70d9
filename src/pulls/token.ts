import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import { asBreakwaterError, type BreakwaterError } from '../registry/errors.ts';
import { pickHeaders } from '../registry/headers.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { createFlights } from '../upstream/flights.ts';
import { asSent, identityOf } from '../upstream/identity.ts';
import type { IssuedTokens, TokenOwner } from '../upstream/issued-tokens.ts';
import { isOutage, isOutageStatus } from '../upstream/outage.ts';
import { toRefusal } from '../upstream/refusal.ts';
import { parseTokenAnswer, readSmallBody } from '../upstream/token-answer.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs, type PassThrough } from './pass-through.ts';
import { LONG_PATIENCE_MS, PATIENCE_MS, withPatience } from './patience.ts';
import { sendWhole } from './send-error.ts';
import { readTokenForm } from './token-form.ts';

export type PassToken = (exchange: Exchange) => Promise<void>;

interface TokenReply {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: Buffer;
  /** Milliseconds that the token lives, where there is one. */
  readonly lifetime: number | undefined;
  /** Why the proxy stood in for the service, where it did; it may simply take too long. */
  readonly local?: { readonly error: BreakwaterError | undefined };
}

const RELAYED = ['content-type', 'www-authenticate', 'retry-after', 'date'];
const MAX_REPLIES = 10_000;
/** A token is given to further clients for this share of its life, so that each has time to use it. */
export const SHARED_LIFE = 0.5;

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

  async function askService(exchange: Exchange, owner: TokenOwner, form?: Buffer): Promise<TokenReply> {
    const answer = await askAsIs(upstream, exchange, form);
    if (isOutageStatus(answer.status)) throw await toRefusal(answer);
    const body = await readSmallBody(answer.body, answer.host);
    const token = answer.status === 200 ? parseTokenAnswer(body) : undefined;
    if (token !== undefined) issued.remember(token.token, owner, token.lifetime);
    return {
      status: answer.status,
      headers: pickHeaders(answer.headers, RELAYED),
      body,
      lifetime: token?.lifetime,
    };
  }

  async function ask(exchange: Exchange, owner: TokenOwner, form?: Buffer): Promise<TokenReply> {
    // a local token asks in the proxy's name, and is as good, unless it stands for a client's own credentials
    const patience = owner.visibility === 'own' ? LONG_PATIENCE_MS : PATIENCE_MS;
    try {
      const reply = await withPatience<TokenReply | 'late'>(
        askService(exchange, owner, form),
        'late',
        patience,
      );
      return reply === 'late' ? localReply(issued, owner, undefined) : reply;
    } catch (thrown) {
      const error = asBreakwaterError(thrown);
      if (!isOutage(error)) throw error;
      return localReply(issued, owner, error);
    }
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
      if (reply.lifetime !== undefined && reply.local === undefined)
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
      identity: basic === undefined ? asSent(identity) : identityOf(basic),
    };
    if (!isTokenRequest(request)) return passThrough(asking);
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
    if (reply.local !== undefined) {
      outcome.cacheStatus = 'STALE';
      outcome.error = reply.local.error;
    }
    sendWhole(exchange, reply.status, reply.headers, reply.body);
  };
}

/** distribution-spec's token services are asked for a service or scope; OAuth2 ones by a form. */
export function isTokenRequest(request: IncomingMessage): boolean {
  if (request.method === 'POST') {
    return request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;
  }
  return request.method === 'GET' && /[?&](service|scope)=/.test(request.url ?? '');
}

function localReply(issued: IssuedTokens, owner: TokenOwner, error: BreakwaterError | undefined): TokenReply {
  const { token, lifetime } = issued.issue(owner);
  const issuedAt = new Date().toISOString();
  const body = { token, access_token: token, expires_in: lifetime / 1000, issued_at: issuedAt };
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(body)),
    lifetime,
    local: { error },
  };
}
