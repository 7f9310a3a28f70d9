import type { AccessRule } from '../../config/access-rule.ts';
import type { Config } from '../../config/config.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import { askedAccess, type AskedAccess } from './asked-access.ts';
import { parseProxyAuthorization, PROXY_CHALLENGE } from './proxy-authorization.ts';
import type { User, Users } from './users.ts';
import { verdictOf } from './verdict.ts';

/** Who is at the other end of a connection. */
export interface Client {
  readonly address: string;
  /** Undefined for whoever did not log in. */
  readonly user: User | undefined;
}

/** Decides who may use the proxy, and for what. */
export interface Admission {
  /** @throws `ACCESS_DENIED` for an address that has no business here at all. */
  admitAddress(address: string): void;
  /**
   * Finds out who a client is.
   * @param authorization its `Proxy-Authorization`.
   * @throws `LOGIN_REQUIRED` for a wrong login, `LOGIN_BUSY`, `ACCESS_DENIED`.
   */
  identify(client: Client, authorization: string | undefined): Promise<Client>;
  /**
   * Admits a client to a registry, where what it will ask is judged later, or to another host.
   * @throws `LOGIN_REQUIRED`, `ACCESS_DENIED`.
   */
  admit(client: Client, host: string, kind: 'registry' | 'other'): void;
  /**
   * Judges a client anew that came in to a registry under other rules.
   * @throws `ACCESS_DENIED`.
   */
  admitAgain(client: Client, host: string): void;
  /**
   * Judges one request of an admitted client to a registry.
   * @throws `ACCESS_DENIED`, or what a path is refused with.
   */
  judge(client: Client, host: string, method: string, target: string): void;
}

const ANY_USER: readonly AccessRule[] = [{ access: 'allow', users: [{ source: '*', matches: () => true }] }];
const ELSEWHERE: AskedAccess = { kind: 'use', repository: undefined, action: 'pull' };

/**
 * Makes the admission that the settings ask for; undefined where everybody may do everything, so that nothing is spent.
 * @param users undefined where nobody logs in with a password.
 */
export function createAdmission(config: Config, users: Users | undefined): Admission | undefined {
  const { allowClients, denyClients, accessRules } = config;
  const logins = users !== undefined || config.listenTlsClientCaFile !== undefined;
  const rules = accessRules.length > 0 ? accessRules : logins ? ANY_USER : undefined;
  const anyAddress = allowClients.sources.length === 0;
  if (rules === undefined && anyAddress && denyClients.sources.length === 0) return undefined;
  const judges = accessRules.some(({ repository, action }) => (repository ?? action) !== undefined);

  function admitAddress(address: string): void {
    if (!denyClients.has(address) && (anyAddress || allowClients.has(address))) return;
    throw new BreakwaterError('ACCESS_DENIED', `clients at ${address} may not use this proxy`, {
      mend: 'Have the address added to ALLOW_CLIENTS of the proxy, or taken out of DENY_CLIENTS.',
    });
  }

  function require(client: Client, host: string, asked: AskedAccess, atDoor: boolean): void {
    if (rules === undefined) return;
    const { address, user } = client;
    const verdict = verdictOf(rules, { address, user: user?.name, host }, asked);
    if (verdict === 'allow') return;
    if (verdict === 'login' && atDoor) throw loginRequired('this proxy wants a user and password');
    const who = user === undefined ? `clients at ${address}` : `user ${JSON.stringify(user.name)}`;
    throw new BreakwaterError('ACCESS_DENIED', `${who} may not ${describe(asked)} ${host}`, {
      mend: verdict === 'login' ? LOGIN_MEND : 'Have ACCESS_RULES of the proxy allow it.',
    });
  }

  return {
    admitAddress,
    async identify(client, authorization) {
      admitAddress(client.address);
      if (users === undefined || authorization === undefined) return client;
      const login = parseProxyAuthorization(authorization);
      if (login === undefined) throw loginRequired('the login is not a Basic one');
      const user = await users.verify(login.name, login.password);
      if (user === undefined) throw loginRequired('user or password are wrong');
      return { address: client.address, user };
    },
    admit(client, host, kind) {
      require(client, host, kind === 'registry' ? { kind: 'entry' } : ELSEWHERE, true);
    },
    admitAgain(client, host) {
      admitAddress(client.address);
      require(client, host, { kind: 'entry' }, false);
    },
    judge(client, host, method, target) {
      if (client.user?.isCurrent() === false) {
        throw new BreakwaterError('ACCESS_DENIED', 'the login of this connection no longer holds', {
          headers: { Connection: 'close' },
          mend: LOGIN_MEND,
        });
      }
      if (!judges) return;
      for (const asked of askedAccess(method, target)) require(client, host, asked, false);
    },
  };
}

const LOGIN_MEND =
  'Give the client a user and password for the proxy, e.g. HTTPS_PROXY=http://user:password@proxy:3128.';

function loginRequired(message: string): BreakwaterError {
  return new BreakwaterError('LOGIN_REQUIRED', message, {
    headers: { 'Proxy-Authenticate': PROXY_CHALLENGE },
    mend: LOGIN_MEND,
  });
}

function describe(asked: AskedAccess): string {
  if (asked.kind === 'entry') return 'reach';
  const verb = asked.action === 'pull' ? 'pull from' : 'push to';
  return asked.repository === undefined ? 'reach all of' : `${verb} ${asked.repository} of`;
}
