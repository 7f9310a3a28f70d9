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
  /** Where it is on its server; a path of its own unless it is said. */
  readonly path?: string;
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

  const { path = `/token/${randomUUID()}` } = options;
  const realm = `${server.origin(options.realmHost)}${path}`;
  server.handle((request) => (request.path === path ? issue(request) : undefined));
  // below `/v2/` the registry has an answer of its own, which a rule goes before
  if (path.startsWith('/v2/')) {
    server.on({ path }, (request) => {
      const { content, ...answer } = issue(request);
      return content === undefined ? answer : { ...answer, body: content };
    });
  }
  return {
    realm,
    path,
    guard(request, repository) {
      const [, text = ''] = /^bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
      const token = tokens.get(text);
      const scope = repository === undefined ? undefined : `repository:${repository}:pull`;
      if (token !== undefined && (scope === undefined || token.scopes.includes(scope))) return undefined;
      const parts = [
        `realm="${realm}"`,
        `service="${service}"`,
        ...(scope === undefined ? [] : [`scope="${scope}"`]),
      ];
      return errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': `Bearer ${parts.join(',')}` });
    },
    requests: () => server.requests.find({ path }),
    expireAll: () => tokens.clear(),
  };
}

function repositoryOf(scope: string): string | undefined {
  return /^repository:(.+):[^:]+$/.exec(scope)?.[1];
}
