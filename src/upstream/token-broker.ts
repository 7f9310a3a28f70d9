import { LRUCache } from 'lru-cache';
import { bearerChallenge, hasBasicChallenge, type Challenge } from '../registry/challenge.ts';
import { BreakwaterError } from '../registry/errors.ts';
import type { RegistryHost } from '../registry/registry-host.ts';
import type { Visibility } from '../registry/visibility.ts';
import type { Credentials } from './credentials.ts';
import { createFlights } from './flights.ts';
import { isOutageStatus } from './outage.ts';
import { toRefusal } from './refusal.ts';
import { parseTokenAnswer, readSmallBody } from './token-answer.ts';
import type { Transport } from './transport.ts';

/** What the proxy sends in its own name, and who may see what that opens. */
export interface Grant {
  readonly authorization: string;
  readonly visibility: Visibility;
}

/** Answers registries' challenges in the proxy's name and keeps the tokens it is given. */
export interface TokenBroker {
  /** The grant to send ahead of any challenge, where an earlier one left it. */
  held(registry: RegistryHost, scope: string): Grant | undefined;
  /**
   * Answers a challenge; undefined where the proxy has no answer to it.
   * Concurrent calls for one registry and scope are one request to the token service.
   * @throws `UPSTREAM_*` where the token service cannot be reached or gives no token; what it answered in an outage
   * of its own.
   */
  answer(registry: RegistryHost, challenges: readonly Challenge[], scope: string): Promise<Grant | undefined>;
  /** Drops a grant that upstream no longer accepts. */
  forget(registry: RegistryHost, scope: string, grant: Grant): void;
}

const MAX_GRANTS = 10_000;
/** A token is renewed when this share of its life is left, so that none expires on the way. */
const RENEW_SHARE = 0.1;

export function createTokenBroker(transport: Transport, credentials: Credentials): TokenBroker {
  const grants = new LRUCache<string, Grant>({ max: MAX_GRANTS });
  const basicOnly = new Map<string, Grant>();
  const flights = createFlights<Grant>();

  async function fetchToken(realm: URL, basic: string | undefined, key: string): Promise<Grant> {
    const headers = { accept: 'application/json', ...(basic === undefined ? {} : { authorization: basic }) };
    const answer = await transport.send({ url: realm, method: 'GET', headers });
    // the service's trouble of the moment says nothing of what may be had
    if (isOutageStatus(answer.status))
      throw await toRefusal({ ...answer, host: realm.host, visibility: 'public' });
    const body = await readSmallBody(answer.body, realm.host);
    const token = answer.status === 200 ? parseTokenAnswer(body) : undefined;
    if (token === undefined) {
      const held = basic === undefined ? 'without credentials' : 'with the configured credentials';
      throw new BreakwaterError(
        'UPSTREAM_TOKEN',
        `${realm.host} gave no token (status ${answer.status}) ${held}`,
      );
    }
    const grant: Grant = {
      authorization: `Bearer ${token.token}`,
      visibility: basic === undefined ? 'public' : 'shared',
    };
    grants.set(key, grant, { ttl: Math.max(1, token.lifetime * (1 - RENEW_SHARE)) });
    return grant;
  }

  return {
    held: (registry, scope) => grants.get(grantKey(registry, scope)) ?? basicOnly.get(registry.name),

    async answer(registry, challenges, scope) {
      const bearer = bearerChallenge(challenges);
      if (bearer !== undefined) {
        const realm = tokenUrl(bearer.realm, bearer.service, bearer.scope ?? scope);
        const key = grantKey(registry, scope);
        return flights.share(key, () =>
          fetchToken(realm, credentials.basicForRealm(registry, bearer.realm), key),
        );
      }
      const basic = hasBasicChallenge(challenges) ? credentials.basicFor(registry.name) : undefined;
      if (basic === undefined) return undefined;
      const grant: Grant = { authorization: basic, visibility: 'shared' };
      basicOnly.set(registry.name, grant);
      return grant;
    },

    forget(registry, scope, grant) {
      const key = grantKey(registry, scope);
      if (grants.get(key) === grant) grants.delete(key);
      if (basicOnly.get(registry.name) === grant) basicOnly.delete(registry.name);
    },
  };
}

function grantKey(registry: RegistryHost, scope: string): string {
  return `${registry.name} ${scope}`;
}

/** distribution-spec token authentication: the realm with `service` and one `scope` parameter a scope. */
function tokenUrl(realm: URL, service: string | undefined, scopes: string): URL {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes.split(' ')) if (scope !== '') url.searchParams.append('scope', scope);
  return url;
}
