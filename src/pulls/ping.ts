import { bearerChallenge, hasBasicChallenge, parseChallenges } from '../registry/challenge.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { discard, type Upstream, type UpstreamAnswer } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs } from './pass-through.ts';
import { readSmallBody } from '../upstream/token-answer.ts';
import { sendWhole } from './send-error.ts';

export type Ping = (exchange: Exchange) => Promise<void>;

/**
 * Answers `GET /v2/` so that what follows works: upstream's challenge reaches the client, which may have
 * credentials of its own, unless the proxy holds some and the client could not get at a token without them.
 * @param intercepts whether the proxy sees the client's requests to a host; there it can help when they come.
 */
export function createPing(
  upstream: Upstream,
  credentials: Credentials,
  intercepts: (host: string, port: number) => boolean,
): Ping {
  /** True where only the proxy can answer this challenge. */
  function isOurs({ registry }: Exchange, answer: UpstreamAnswer): boolean {
    const challenges = parseChallenges(answer.headers['www-authenticate']);
    const bearer = bearerChallenge(challenges);
    if (bearer === undefined)
      return hasBasicChallenge(challenges) && credentials.basicFor(registry.name) !== undefined;
    const port = Number(bearer.realm.port || 443);
    return (
      credentials.basicForRealm(registry, bearer.realm) !== undefined &&
      !intercepts(bearer.realm.hostname, port)
    );
  }

  return async (exchange) => {
    const { identity, outcome } = exchange;
    outcome.cacheStatus = 'BYPASS';
    const nobody: Exchange = {
      ...exchange,
      identity: identity.kind === 'proxy' ? { kind: 'nobody' } : identity,
    };
    let answer = await askAsIs(upstream, nobody);
    if (answer.status === 401 && identity.kind === 'proxy' && isOurs(exchange, answer)) {
      await discard(answer);
      answer = await askAsIs(upstream, exchange);
    }
    const {
      'content-type': type,
      'www-authenticate': challenge,
      'docker-distribution-api-version': version,
      'retry-after': retry,
    } = answer.headers;
    const body = await readSmallBody(answer.body, answer.host);
    sendWhole(
      exchange,
      answer.status,
      {
        'content-type': type,
        'www-authenticate': challenge,
        'docker-distribution-api-version': version,
        'retry-after': retry,
      },
      body,
    );
  };
}
