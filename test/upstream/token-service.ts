import { randomUUID } from 'node:crypto';
import { markedSecret } from '../support/marked-secrets.ts';
import { textContent } from './content.ts';
import { basicUser, isKnown, type Guard, type May, type Users } from './guard.ts';
import { errorAnswer, type Answer } from './reply.ts';
import type { RecordedRequest } from './recorded-request.ts';
import { knowsSecrets, type ScriptedServer } from './scripted-server.ts';

export interface TokenServiceOptions {
  readonly users?: Users;
  /** Who gets a token for which repository; without it, every user and nobody else. */
  readonly may?: May;
  /** What `expires_in` says, in seconds; absent where it is to be left out. */
  readonly lifetime?: number;
  /** Whether tokens end when they say, and not only by `expireAll`. */
  readonly ends?: true;
  /** Users by their refresh tokens; with it, forms are answered (OAuth2), otherwise they are refused by 405. */
  readonly refreshTokens?: Map<string, string>;
  /** Gives a new refresh token for each, which ends. */
  readonly rotates?: true;
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
  readonly endsAt: number;
}

export function createTokenService(server: ScriptedServer, options: TokenServiceOptions = {}): TokenService {
  const { users = {}, may = isKnown, lifetime, service = 'scripted', field = 'token' } = options;
  const tokens = new Map<string, Token>();
  knowsSecrets(server.host);

  let issued = 0;

  function issue(request: RecordedRequest): Answer {
    const isForm = request.method === 'POST';
    if (isForm && options.refreshTokens === undefined) return errorAnswer(405, 'UNSUPPORTED');
    const { authorization } = request.headers;
    const user = isForm ? userOfForm(request) : basicUser(authorization, users);
    if ((isForm || authorization !== undefined) && user === undefined)
      return errorAnswer(401, 'UNAUTHORIZED');
    const asked = isForm ? request.form : new URLSearchParams(request.query);
    const scopes = asked.getAll('scope').flatMap((scope) => scope.split(' '));
    const granted = scopes.filter((scope) => may(user, repositoryOf(scope)));
    if (user === undefined && granted.length === 0) return errorAnswer(401, 'UNAUTHORIZED');
    issued += 1;
    const token = markedSecret(`token-${issued}-${user ?? 'anonymous'}`);
    const endsAt = options.ends === true ? performance.now() + (lifetime ?? 60) * 1000 : Infinity;
    tokens.set(token, { user, scopes: granted, endsAt });
    const answer = {
      [field]: token,
      ...(lifetime === undefined ? {} : { expires_in: lifetime }),
      ...(options.rotates === true ? { refresh_token: rotate(request, user ?? '') } : {}),
    };
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      content: textContent(JSON.stringify(answer)),
    };
  }

  function userOfForm({ form }: RecordedRequest): string | undefined {
    const user = form.get('username') ?? '';
    if (form.get('grant_type') === 'password') return users[user] === form.get('password') ? user : undefined;
    return options.refreshTokens?.get(form.get('refresh_token') ?? '');
  }

  function rotate({ form }: RecordedRequest, user: string): string {
    options.refreshTokens?.delete(form.get('refresh_token') ?? '');
    const next = markedSecret(`refresh-${issued}`);
    options.refreshTokens?.set(next, user);
    return next;
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
      const known = tokens.get(text);
      const token = known !== undefined && performance.now() < known.endsAt ? known : undefined;
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
