import { bearerChallenge, hasBasicChallenge, parseChallenges } from '../registry/challenge.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { createFlights } from '../upstream/flights.ts';
import { readSmallBody } from '../upstream/token-answer.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs } from './pass-through.ts';
import { sendWhole } from './send-error.ts';

export type Ping = (exchange: Exchange) => Promise<void>;

interface PingReply {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

interface Known {
  readonly reply: PingReply;
  readonly at: number;
}

/** How long a registry's answer counts, in milliseconds: what it asks for changes once in years. */
const LIFETIME = 60_000;
/** Answers by which a registry speaks for itself; others are its trouble of the moment. */
const SETTLED = new Set([200, 401]);

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
  now: () => number,
): Ping {
  const known = new Map<string, Known>();
  const flights = createFlights<PingReply>();

  async function ask(exchange: Exchange): Promise<PingReply> {
    const answer = await askAsIs(upstream, exchange);
    const { 'content-type': type, 'www-authenticate': challenge, 'retry-after': retry } = answer.headers;
    const version = answer.headers['docker-distribution-api-version'];
    return {
      status: answer.status,
      headers: {
        'content-type': type,
        'www-authenticate': challenge,
        'docker-distribution-api-version': version,
        'retry-after': retry,
      },
      body: await readSmallBody(answer.body, answer.host),
    };
  }

  /** True where only the proxy can answer this challenge. */
  function isOurs({ registry }: Exchange, { headers }: PingReply): boolean {
    const challenges = parseChallenges(headers['www-authenticate']);
    const bearer = bearerChallenge(challenges);
    if (bearer === undefined) {
      return hasBasicChallenge(challenges) && credentials.basicFor(registry.name) !== undefined;
    }
    const port = Number(bearer.realm.port || 443);
    const held = credentials.basicForRealm(registry, bearer.realm) !== undefined;
    return held && !intercepts(bearer.realm.hostname, port);
  }

  async function fresh(exchange: Exchange): Promise<PingReply> {
    const reply = await ask({ ...exchange, identity: { kind: 'nobody' } });
    const settled = reply.status === 401 && isOurs(exchange, reply) ? await ask(exchange) : reply;
    if (SETTLED.has(settled.status)) known.set(exchange.registry.name, { reply: settled, at: now() });
    return settled;
  }

  return async (exchange) => {
    const { identity, registry, outcome } = exchange;
    outcome.cacheStatus = 'BYPASS';
    const last = known.get(registry.name);
    let reply: PingReply;
    if (identity.kind !== 'proxy') {
      reply = await ask(exchange);
    } else if (last !== undefined && now() - last.at < LIFETIME) {
      outcome.cacheStatus = 'HIT';
      ({ reply } = last);
    } else {
      try {
        reply = await flights.share(registry.name, () => fresh(exchange));
      } catch (thrown) {
        if (last === undefined || asBreakwaterError(thrown).source !== 'upstream') throw thrown;
        outcome.cacheStatus = 'STALE';
        ({ reply } = last);
      }
    }
    sendWhole(exchange, reply.status, reply.headers, reply.body);
  };
}
