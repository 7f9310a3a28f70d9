import type { MarkedSecret } from '../support/marked-secrets.ts';
import { errorAnswer, type Answer } from './reply.ts';
import type { RecordedRequest } from './recorded-request.ts';

/** Users by name, with their passwords. */
export type Users = Readonly<Record<string, MarkedSecret>>;

/** Who may pull from a repository; a ping has none. Nobody is undefined. */
export type May = (user: string | undefined, repository: string | undefined) => boolean;

/** Refuses a request that may not have an answer; undefined lets it through. */
export type Guard = (request: RecordedRequest, repository: string | undefined) => Answer | undefined;

export interface BasicGuardOptions {
  readonly users: Users;
  readonly may?: May;
  /** What a known user who may not is told. */
  readonly refusal?: 401 | 403 | 404;
}

const REFUSALS = { 401: 'UNAUTHORIZED', 403: 'DENIED', 404: 'NAME_UNKNOWN' } as const;

/** A registry that wants a user name and a password with each request. */
export function basicGuard({ users, may = isKnown, refusal = 403 }: BasicGuardOptions): Guard {
  return (request, repository) => {
    const user = basicUser(request.headers.authorization, users);
    if (may(user, repository)) return undefined;
    if (user === undefined || refusal === 401) {
      return errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="scripted"' });
    }
    return errorAnswer(refusal, REFUSALS[refusal]);
  };
}

/** The user whose name and password a header carries. */
export function basicUser(authorization: string | undefined, users: Users): string | undefined {
  const [, encoded] = /^basic (.+)$/i.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const [name = '', ...rest] = Buffer.from(encoded, 'base64').toString().split(':');
  return Object.hasOwn(users, name) && users[name] === rest.join(':') ? name : undefined;
}

/** The header by which a client shows that it is a user. */
export function basic(name: string, password: MarkedSecret): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}

export function isKnown(user: string | undefined): boolean {
  return user !== undefined;
}
