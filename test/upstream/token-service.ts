import { randomUUID } from 'node:crypto';
import { textContent } from './content.ts';
import { basicUser, isKnown, type Guard, type May, type Users } from './guard.ts';
import { errorAnswer, type Answer } from './reply.ts';
import type { RecordedRequest } from './recorded-request.ts';
import type { ScriptedServer } from './scripted-server.ts';

export interface TokenServiceOptions {
  readonly users?: Users;
  /** Who gets a token for which repository; without it, every user and nobody else. */
  readonly may?: May;
  /** What `expires_in` says, in seconds; absent where it is to be left out. */
  readonly lifetime?: number;
  readonly service?: string;
  /** The name of the field that holds the token. */
  readonly field?: 'token' | 'access_token';
  /** The name under which the realm is given to clients. */
  readonly realmHost?: 'localhost' | '127.0.0.1';
}

/** A token service (distribution's token authentication) at a path of its own on a scripted server. */
export interface TokenService {
  readonly realm: string;
  /** The path of the realm. */
  readonly path: string;
  /** The guard of a registry that wants this service's tokens. */
  readonly guard: Guard;
  readonly requests: () => RecordedRequest[];
  /** Ends all tokens that were issued so far; none ends by itself. */
  expireAll(): void;
}

interface Token {
  readonly user: string | undefined;
  readonly scopes: readonly string[];
}

export function createTokenService(server: ScriptedServer, options: TokenServiceOptions = {}): TokenService {
  const { users = {}, may = isKnown, lifetime, service = 'scripted', field = 'token' } = options;
  const tokens = new Map<string, Token>();

  let issued = 0;

  function issue(request: RecordedRequest): Answer {
    const { authorization } = request.headers;
    const user = basicUser(authorization, users);
    if (authorization !== undefined && user === undefined) return errorAnswer(401, 'UNAUTHORIZED');
    const scopes = new URLSearchParams(request.query).getAll('scope');
    const granted = scopes.filter((scope) => may(user, repositoryOf(scope)));
    if (user === undefined && granted.length === 0) return errorAnswer(401, 'UNAUTHORIZED');
    issued += 1;
    const token = `token-${issued}-${user ?? 'anonymous'}`;
    tokens.set(token, { user, scopes: granted });
    const answer = { [field]: token, ...(lifetime === undefined ? {} : { expires_in: lifetime }) };
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      content: textContent(JSON.stringify(answer)),
    };
  }

  const path = `/token/${randomUUID()}`;
  const realm = `${server.origin(options.realmHost)}${path}`;
  server.handle((request) => (request.path === path ? issue(request) : undefined));
  return {
    realm,
    path,
    guard(request, repository) {
      const [, text = ''] = /^bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
      const token = tokens.get(text);
      const scope =
        repository === undefined ? undefined : `repository:${repository}:${actionsOf(request.method)}`;
      if (token !== undefined && (scope === undefined || token.scopes.some((held) => covers(held, scope))))
        return undefined;
      const parts = [
        `realm="${realm}"`,
        `service="${service}"`,
        ...(scope === undefined ? [] : [`scope="${[scope, ...mounted(request)].join(' ')}"`]),
      ];
      return errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': `Bearer ${parts.join(',')}` });
    },
    requests: () => server.requests.find({ path }),
    expireAll: () => tokens.clear(),
  };
}

/** What distribution wants for a method. */
function actionsOf(method: string): string {
  if (method === 'GET' || method === 'HEAD') return 'pull';
  return method === 'DELETE' ? 'delete' : 'pull,push';
}

/** A blob that is mounted must be one that may be pulled. */
function mounted({ query }: RecordedRequest): string[] {
  const from = new URLSearchParams(query).get('from');
  return from === null ? [] : [`repository:${from}:pull`];
}

function covers(held: string, wanted: string): boolean {
  const parts = (scope: string): readonly string[] => scope.slice(scope.lastIndexOf(':') + 1).split(',');
  return (
    repositoryOf(held) === repositoryOf(wanted) &&
    parts(wanted).every((action) => parts(held).includes(action))
  );
}

function repositoryOf(scope: string): string | undefined {
  return /^repository:(.+):[^:]+$/.exec(scope)?.[1];
}
