import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import { asBreakwaterError, type BreakwaterError } from '../registry/errors.ts';
import { pickHeaders } from '../registry/headers.ts';
import { parseScopes, pullOnly } from '../registry/scope.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { createFlights } from '../upstream/flights.ts';
import { asSent, identityOf } from '../upstream/identity.ts';
import type { IssuedTokens, TokenOwner } from '../upstream/issued-tokens.ts';
import { basicOf } from '../upstream/login.ts';
import { isOutage, isOutageStatus } from '../upstream/outage.ts';
import { toRefusal } from '../upstream/refusal.ts';
import { parseTokenAnswer, readSmallBody } from '../upstream/token-answer.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { inMemory, sayContinue } from './client-body.ts';
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
/** Stands for credentials that take too long; none looks like it. */
const LATE = 'late';
/** A token is given to further clients for this share of its life, so that each has time to use it. */
export const SHARED_LIFE = 0.5;

/**
 * Passes what clients ask of an intercepted host outside `/v2/`, its token service first of all: with the
 * configured credentials where the client brings none. A token that comes back is remembered, by its hash,
 * with whose it is, as it decides who may see what it opens. Clients without credentials that ask for the same
 * token are one question to upstream. A service that cannot be asked is stood in for: the token then opens what
 * is cached, for whom upstream let have it before.
 * @param pushesShared whether the proxy's credentials may push for its clients; else their tokens can but pull.
 */
export function createPassToken(
  upstream: Upstream,
  credentials: Credentials,
  issued: IssuedTokens,
  passThrough: PassThrough,
  pushesShared: boolean,
): PassToken {
  const flights = createFlights<TokenReply>();
  const replies = new LRUCache<string, TokenReply>({ max: MAX_REPLIES });

  async function askService(exchange: Exchange, owner: TokenOwner, form?: Buffer): Promise<TokenReply> {
    // whoever reaches the proxy is given this token, and may take it to the registry past the proxy
    const path =
      owner.visibility === 'shared' && !pushesShared ? pullOnlyTarget(exchange.request.url) : undefined;
    const answer = await askAsIs(upstream, exchange, {
      ...(path === undefined ? {} : { path }),
      ...(form === undefined ? {} : { body: inMemory(form) }),
    });
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
    const key = `${credentials.generation} ${exchange.registry.name} ${exchange.request.url ?? ''}`;
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

  /** The credentials for this host, or for the repository that a token is asked for. */
  async function basicOfProxy({ registry, request }: Exchange): Promise<string | undefined> {
    const query = URL.parse(request.url ?? '', 'http://any')?.searchParams.getAll('scope') ?? [];
    const scope = parseScopes(query.join(' ')).find(({ type }) => type === 'repository');
    const login = await credentials.loginFor(registry.name, scope?.name);
    return login?.kind === 'password' ? basicOf(login) : undefined;
  }

  /** With what the proxy holds; a token of its own stands in where that cannot be had, or not in time. */
  async function askInProxysName(exchange: Exchange): Promise<TokenReply> {
    const held: TokenOwner = { visibility: 'shared', key: undefined };
    let basic: string | undefined;
    try {
      basic = await withPatience<string | undefined>(basicOfProxy(exchange), LATE);
    } catch (thrown) {
      const error = asBreakwaterError(thrown);
      if (!isOutage(error)) throw error;
      return localReply(issued, held, error);
    }
    if (basic === LATE) return localReply(issued, held, undefined);
    const owner: TokenOwner = basic === undefined ? { ...held, visibility: 'public' } : held;
    return askOnce(inNameOf(exchange, basic), owner);
  }

  async function answer(exchange: Exchange): Promise<TokenReply> {
    const { request, identity } = exchange;
    if (request.method !== 'GET') {
      sayContinue(exchange);
      const form = await readTokenForm(request);
      const asking = { ...exchange, identity: asSent(identity) };
      return ask(asking, { visibility: 'own', key: form.ownerKey }, form.body);
    }
    if (identity.kind !== 'client') return askInProxysName(exchange);
    return ask(exchange, { visibility: 'own', key: identity.key });
  }

  return async (exchange) => {
    const { request, identity, outcome } = exchange;
    if (!isTokenRequest(request)) {
      const isAnonymous = identity.kind === 'proxy' && request.method === 'GET';
      return passThrough(inNameOf(exchange, isAnonymous ? await basicOfProxy(exchange) : undefined));
    }
    outcome.cacheStatus = 'BYPASS';
    const reply = await answer(exchange);
    if (reply.local !== undefined) {
      outcome.cacheStatus = 'STALE';
      outcome.error = reply.local.error;
    }
    sendWhole(exchange, reply.status, reply.headers, reply.body);
  };
}

/** The request with these credentials, or as it came. */
function inNameOf(exchange: Exchange, basic: string | undefined): Exchange {
  return { ...exchange, identity: basic === undefined ? asSent(exchange.identity) : identityOf(basic) };
}

/** distribution-spec's token services are asked for a service or scope; OAuth2 ones by a form. */
export function isTokenRequest(request: IncomingMessage): boolean {
  if (request.method === 'POST') {
    return request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;
  }
  return request.method === 'GET' && /[?&](service|scope)=/.test(request.url ?? '');
}

/** The target with every scope in its query cut down to pulling; as it is where none asks for more. */
function pullOnlyTarget(target = '/'): string {
  const question = target.indexOf('?');
  if (question === -1) return target;
  const query = new URLSearchParams(target.slice(question + 1));
  const scopes = query.getAll('scope');
  const narrowed = scopes.map(pullOnly);
  if (narrowed.every((scope, at) => scope === scopes[at])) return target;
  query.delete('scope');
  for (const scope of narrowed) if (scope !== '') query.append('scope', scope);
  return `${target.slice(0, question)}?${query.toString()}`;
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
