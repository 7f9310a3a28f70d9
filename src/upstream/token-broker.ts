import { LRUCache } from 'lru-cache';
import { bearerChallenge, hasBasicChallenge, type Challenge } from '../registry/challenge.ts';
import { BreakwaterError } from '../registry/errors.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { RegistryHost } from '../registry/registry-host.ts';
import { normalizeScope } from '../registry/scope.ts';
import type { Visibility } from '../registry/visibility.ts';
import type { Credentials } from './credentials.ts';
import { basicOf, type Login } from './login.ts';
import { createRenewed, type Lease, type Renewed } from './renewed.ts';
import { createTokenRequest, type TokenQuestion } from './token-request.ts';
import type { Transport } from './transport.ts';

/** What the proxy sends in its own name, and who may see what that opens. */
export interface Grant {
  readonly authorization: string;
  readonly visibility: Visibility;
  /** To be called where upstream does not accept it, so that it is not sent again. */
  readonly drop: () => void;
}

/** What a grant is for. */
export interface GrantPurpose {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName | undefined;
  /** What is to be done there; asked for where a challenge names no scope of its own. */
  readonly scope: string;
}

/** Answers registries' challenges in the proxy's name and keeps the tokens it is given. */
export interface TokenBroker {
  /**
   * The grant to send ahead of any challenge, where an earlier one taught what is asked for; a token that ended
   * is renewed first.
   * @throws what says that the token service could not answer.
   */
  held(purpose: GrantPurpose): Promise<Grant | undefined>;
  /**
   * Answers a challenge; undefined where the proxy has no answer to it.
   * Concurrent calls for one purpose and challenge are one request to the token service.
   * @throws `UPSTREAM_*` where the token service cannot be reached or gives no token; what it answered in an outage
   * of its own.
   */
  answer(purpose: GrantPurpose, challenges: readonly Challenge[]): Promise<Grant | undefined>;
}

/** Told what came of each token that was needed: `failed` where its service could not say. */
export type OnToken = (result: 'granted' | 'refused' | 'failed') => void;

const MAX_TOKENS = 10_000;
const MAX_BASIC = 1_000;

/** One token, and what was asked to get it. */
interface Entry {
  readonly question: string;
  readonly token: Renewed<Grant>;
}

export function createTokenBroker(
  transport: Transport,
  credentials: Credentials,
  onToken: OnToken,
  now: () => number = () => performance.now(),
): TokenBroker {
  const request = createTokenRequest(transport);
  const entries = new LRUCache<string, Entry>({ max: MAX_TOKENS });
  /** Registries that asked for Basic. */
  const basic = new LRUCache<string, true>({ max: MAX_BASIC });

  // registry and repository decide whose identity it is until the credentials change
  const registryKey = ({ registry }: GrantPurpose): string => `${credentials.generation} ${registry.name}`;
  const tokenKey = (purpose: GrantPurpose): string => `${registryKey(purpose)} ${purpose.scope}`;

  function createEntry(purpose: GrantPurpose, question: TokenQuestion): Entry {
    const { registry, repository } = purpose;
    const fetch = async (): Promise<Lease<Grant>> => {
      const login = await credentials.loginForRealm(registry, question.realm, repository);
      const { token: text, lifetime } = await told(request(question, login), onToken);
      const value: Grant = {
        authorization: `Bearer ${text}`,
        visibility: login === undefined ? 'public' : 'shared',
        drop: () => token.drop(value),
      };
      return { value, lifetime };
    };
    // what kept a token from being renewed ahead of time is told when it has ended
    const token = createRenewed(fetch, () => undefined, now);
    return { question: questionKey(question), token };
  }

  function basicGrant(purpose: GrantPurpose, login: Login): Grant {
    const key = registryKey(purpose);
    basic.set(key, true);
    return {
      authorization: basicOf(login),
      visibility: 'shared',
      drop() {
        basic.delete(key);
        login.refused();
      },
    };
  }

  async function passwordFor({ registry, repository }: GrantPurpose): Promise<Login | undefined> {
    const login = await credentials.loginFor(registry.name, repository);
    return login?.kind === 'password' ? login : undefined;
  }

  async function bearer(purpose: GrantPurpose, question: TokenQuestion): Promise<Grant> {
    const key = tokenKey(purpose);
    let entry = entries.get(key);
    if (entry?.question !== questionKey(question)) {
      entry = createEntry(purpose, question);
      entries.set(key, entry);
    }
    return tokenOf(key, entry);
  }

  /** What gave no token is forgotten: the registry may ask for something else by now. */
  async function tokenOf(key: string, entry: Entry): Promise<Grant> {
    try {
      return await entry.token.get();
    } catch (thrown) {
      if (isNoToken(thrown) && entries.get(key) === entry) entries.delete(key);
      throw thrown;
    }
  }

  return {
    async held(purpose) {
      const key = tokenKey(purpose);
      const entry = entries.get(key);
      if (entry !== undefined) {
        try {
          return await tokenOf(key, entry);
        } catch (thrown) {
          if (isNoToken(thrown)) return undefined;
          throw thrown;
        }
      }
      if (!basic.has(registryKey(purpose))) return undefined;
      const login = await passwordFor(purpose);
      return login && basicGrant(purpose, login);
    },

    async answer(purpose, challenges) {
      const asked = bearerChallenge(challenges);
      const password = hasBasicChallenge(challenges) ? await passwordFor(purpose) : undefined;
      if (asked === undefined) return password && basicGrant(purpose, password);
      const { realm, service } = asked;
      const { registry, repository } = purpose;
      if (password !== undefined) {
        // where both are offered, a token service that may not see the credentials gives less than Basic
        const login = await credentials.loginForRealm(registry, realm, repository);
        if (login === undefined) return basicGrant(purpose, password);
      }
      return bearer(purpose, { realm, service, scopes: normalizeScope(asked.scope ?? purpose.scope) });
    },
  };
}

async function told<Answer>(asked: Promise<Answer>, onToken: OnToken): Promise<Answer> {
  try {
    const answer = await asked;
    onToken('granted');
    return answer;
  } catch (thrown) {
    onToken(isNoToken(thrown) ? 'refused' : 'failed');
    throw thrown;
  }
}

function isNoToken(thrown: unknown): boolean {
  return thrown instanceof BreakwaterError && thrown.code === 'UPSTREAM_TOKEN';
}

function questionKey({ realm, service, scopes }: TokenQuestion): string {
  return JSON.stringify([realm.href, service, scopes]);
}
