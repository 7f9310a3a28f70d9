import { LRUCache } from 'lru-cache';
import { BreakwaterError } from '../registry/errors.ts';
import { authorizationKey } from './identity.ts';
import { basicOf, type Login } from './login.ts';
import { isOutageStatus } from './outage.ts';
import { toRefusal, UpstreamRefusal } from './refusal.ts';
import { parseTokenAnswer, readSmallBody, type TokenAnswer } from './token-answer.ts';
import type { Transport } from './transport.ts';

/** What a challenge asks to be asked of a token service. */
export interface TokenQuestion {
  readonly realm: URL;
  readonly service: string | undefined;
  /** Divided by spaces. */
  readonly scopes: string;
}

/** Asks token services for tokens. */
export interface TokenRequest {
  /**
   * Asks with a login or without; a password by POST first (OAuth2), by GET where the service has none.
   * @throws `UPSTREAM_TOKEN` where it gives none, and what says that it could not answer.
   */
  (question: TokenQuestion, login: Login | undefined): Promise<TokenAnswer>;
}

interface Answered {
  readonly status: number;
  readonly token: TokenAnswer | undefined;
}

const MAX_REMEMBERED = 1_000;
/** Milliseconds for which a login that was refused is not shown again: accounts are locked for less. */
const REFUSED_MS = 10_000;
/** distribution's OAuth2 specification wants a name; it is for the service's log. */
const CLIENT_ID = 'breakwater';

export function createTokenRequest(transport: Transport): TokenRequest {
  /** Realms that gave a token for GET after they had refused a POST. */
  const getOnly = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  /** A service may give a new refresh token for the old one, which then ends (RFC 6749 section 6). */
  const successors = new LRUCache<string, string>({ max: MAX_REMEMBERED });

  const refused = new LRUCache<string, BreakwaterError>({ max: MAX_REMEMBERED, ttl: REFUSED_MS });

  async function send(
    { realm }: TokenQuestion,
    url: URL,
    authorization: string | undefined,
    form?: URLSearchParams,
  ): Promise<Answered> {
    const answer = await transport.send({
      url,
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form === undefined ? {} : { body: form.toString() }),
    });
    const { status } = answer;
    // with a POST, 500 may stand for "what is this?"; the GET behind it tells
    if (form === undefined ? isOutageStatus(status) : status === 429)
      throw withoutWords(await toRefusal({ ...answer, host: realm.host, visibility: 'public' }));
    const body = await readSmallBody(answer.body, realm.host);
    return { status, token: status === 200 ? parseTokenAnswer(body) : undefined };
  }

  const get = (question: TokenQuestion, authorization: string | undefined): Promise<Answered> =>
    send(question, tokenUrl(question), authorization);

  function post(question: TokenQuestion, grant: Readonly<Record<string, string>>): Promise<Answered> {
    const { realm, service, scopes } = question;
    const form = new URLSearchParams({ ...grant, client_id: CLIENT_ID });
    if (service !== undefined) form.set('service', service);
    if (scopes !== '') form.set('scope', scopes);
    return send(question, realm, undefined, form);
  }

  async function withRefreshToken(question: TokenQuestion, login: Login): Promise<Answered> {
    const key = `${addressOf(question)} ${authorizationKey(login.secret.reveal())}`;
    const successor = successors.get(key);
    const answered = await post(question, {
      grant_type: 'refresh_token',
      refresh_token: successor ?? login.secret.reveal(),
    });
    if (answered.token === undefined) successors.delete(key);
    else if (answered.token.refreshToken !== undefined) successors.set(key, answered.token.refreshToken);
    return answered;
  }

  async function withPassword(question: TokenQuestion, login: Login): Promise<Answered> {
    const address = addressOf(question);
    if (getOnly.has(address)) return get(question, basicOf(login));
    const { username, secret } = login;
    const posted = await post(question, { grant_type: 'password', username, password: secret.reveal() });
    if (posted.token !== undefined) return posted;
    const got = await get(question, basicOf(login));
    if (got.token !== undefined && posted.status < 500) getOnly.set(address, true);
    return got;
  }

  async function withLogin(question: TokenQuestion, login: Login): Promise<TokenAnswer> {
    const secret = authorizationKey(basicOf(login));
    const key = `${addressOf(question)} ${secret} ${question.scopes}`;
    const known = refused.get(key);
    if (known !== undefined) throw known;
    const way = login.kind === 'password' ? withPassword : withRefreshToken;
    const { status, token } = await way(question, login);
    if (token !== undefined) return token;
    const error = noToken(question, status, 'with the configured credentials');
    if (status === 400 || status === 401 || status === 403) {
      refused.set(key, error);
      login.refused();
    }
    throw error;
  }

  return async (question, login) => {
    if (login !== undefined) return withLogin(question, login);
    const { status, token } = await get(question, undefined);
    if (token === undefined) throw noToken(question, status, 'without credentials');
    return token;
  };
}

/** What a service says to the proxy is not for its clients: it may repeat what it was shown. */
function withoutWords({ code, host, status, headers }: UpstreamRefusal): UpstreamRefusal {
  const { 'retry-after': later } = headers;
  const kept = later === undefined ? {} : { 'retry-after': later };
  return new UpstreamRefusal(code, host, status, kept, Buffer.alloc(0));
}

function noToken({ realm }: TokenQuestion, status: number, how: string): BreakwaterError {
  return new BreakwaterError('UPSTREAM_TOKEN', `${realm.host} gave no token (status ${status}) ${how}`);
}

function addressOf({ realm }: TokenQuestion): string {
  return realm.origin + realm.pathname;
}

/** distribution's token authentication: the realm with `service` and one `scope` parameter a scope. */
function tokenUrl({ realm, service, scopes }: TokenQuestion): URL {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes.split(' ')) if (scope !== '') url.searchParams.append('scope', scope);
  return url;
}
