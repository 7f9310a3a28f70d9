import type { Credentials } from '../upstream/credentials.ts';
import { identityOf } from '../upstream/identity.ts';
import type { IssuedTokens } from '../upstream/issued-tokens.ts';
import { parseTokenAnswer, readSmallBody } from '../upstream/token-answer.ts';
import type { Upstream, UpstreamAnswer } from '../upstream/upstream.ts';
import type { Visibility } from '../registry/visibility.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs, type PassThrough } from './pass-through.ts';
import { sendWhole } from './send-error.ts';

export type PassToken = (exchange: Exchange) => Promise<void>;

/**
 * Passes what clients ask of an intercepted host outside `/v2/`, its token service first of all: with the
 * configured credentials where the client brings none. A token that comes back is remembered, by its hash,
 * with whose it is, as it decides who may see what it opens.
 */
export function createPassToken(
  upstream: Upstream,
  credentials: Credentials,
  issued: IssuedTokens,
  passThrough: PassThrough,
): PassToken {
  return async (exchange) => {
    const { request, registry, identity, outcome } = exchange;
    const basic = credentials.basicFor(registry.name);
    const injected = identity.kind === 'proxy' && request.method === 'GET' ? basic : undefined;
    const asking: Exchange =
      injected === undefined
        ? { ...exchange, identity: identity.kind === 'proxy' ? { kind: 'nobody' } : identity }
        : { ...exchange, identity: identityOf(injected) };
    if (!isTokenRequest(exchange)) return passThrough(asking);
    outcome.cacheStatus = 'BYPASS';
    const answer = await askAsIs(upstream, asking);
    const body = await readSmallBody(answer.body, answer.host);
    const token = answer.status === 200 ? parseTokenAnswer(body) : undefined;
    if (token !== undefined)
      issued.remember(token.token, whose(exchange, injected !== undefined), token.lifetime);
    sendWhole(exchange, answer.status, relayed(answer), body);
  };
}

/** distribution-spec's token services are asked for a service or scope; OAuth2 ones by a form. */
function isTokenRequest({ request }: Exchange): boolean {
  if (request.method === 'POST')
    return request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;
  return request.method === 'GET' && /[?&](service|scope)=/.test(request.url ?? '');
}

function whose({ identity, request }: Exchange, injected: boolean): Visibility {
  if (injected) return 'shared';
  return identity.kind === 'proxy' && request.method === 'GET' ? 'public' : 'own';
}

function relayed({ headers }: UpstreamAnswer): Record<string, string | string[] | undefined> {
  const { 'content-type': type, 'www-authenticate': challenge, 'retry-after': retry, date } = headers;
  return { 'content-type': type, 'www-authenticate': challenge, 'retry-after': retry, date };
}
