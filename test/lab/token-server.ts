import { createHmac, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { markedSecret } from '../support/marked-secrets.ts';
import type { Pki } from './pki.ts';
import { Server, type ServerRequest } from './server.ts';
import type { Space } from './space.ts';
import { ALICE, isUser } from './users.ts';

export const TOKEN_HOST = 'auth.docker.io';
export const TOKEN_SERVICE = 'registry.docker.io';
export const TOKEN_ADDRESS = '127.0.0.3';

export interface TokenRequest extends ServerRequest {
  readonly status: number;
  readonly userAgent: string;
  /** Who was recognised; null is nobody. */
  readonly user: string | null;
  readonly scopes: readonly string[];
}

interface TokenConfig {
  readonly pki: Pki;
  readonly seconds: number;
}

export function createTokenServer(space: Space, pki: Pki, seconds: number): Server<TokenRequest> {
  const config: TokenConfig = { pki, seconds };
  return new Server<TokenRequest>(space, {
    name: 'token server',
    host: TOKEN_HOST,
    address: TOKEN_ADDRESS,
    command: [process.execPath, import.meta.filename, JSON.stringify(config)],
    // The line was written by this very file.
    parse: (line) => (line.startsWith('{') ? (JSON.parse(line) as TokenRequest) : undefined),
  });
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** `null` is nobody, `undefined` is somebody with a wrong password. */
type User = string | null | undefined;

/** Anyone pulls from `library/` and `public/`, Alice publishes there, and `alice/` is hers alone. */
function allowed(user: User, scope: string): Access {
  const [, type = '', name = '', actions = ''] = /^([^:]*):(.*):([^:]*)$/.exec(scope) ?? [];
  const wanted = actions.split(',');
  const open = name.startsWith('library/') || name.startsWith('public/');
  if (user === ALICE.username) return { type, name, actions: wanted };
  return { type, name, actions: open ? wanted.filter((action) => action === 'pull') : [] };
}

function serve({ pki, seconds }: TokenConfig): void {
  const signer = new Signer(readFileSync(pki.tokenKey), readFileSync(pki.tokenCert, 'utf8'), seconds);
  const server = createServer({ cert: readFileSync(pki.serverCert), key: readFileSync(pki.serverKey) });
  server.on('request', (request, response) => void answer(request, response, signer));
  server.listen(443, TOKEN_ADDRESS, () => console.log('listening on', TOKEN_ADDRESS));
}

async function answer(request: IncomingMessage, response: ServerResponse, signer: Signer): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', `https://${TOKEN_HOST}`);
  const form = request.method === 'POST' ? new URLSearchParams(await text(request)) : searchParams;
  const scopes = form.getAll('scope').flatMap((value) => value.split(' ').filter(Boolean));
  const user = whoAsks(request, form, signer);
  const status = pathname !== '/token' ? 404 : user === undefined ? 401 : 200;
  const entry: TokenRequest = {
    method: request.method ?? '',
    path: request.url ?? '',
    status,
    userAgent: request.headers['user-agent'] ?? '',
    user: user ?? null,
    scopes,
  };
  console.log(JSON.stringify(entry));
  response.writeHead(status, { 'content-type': 'application/json' });
  if (status !== 200 || user === undefined) {
    response.end(JSON.stringify({ details: 'incorrect username or password' }));
    return;
  }
  const granted = scopes.map((scope) => allowed(user, scope)).filter(({ actions }) => actions.length > 0);
  const token = signer.accessToken(user, form.get('service') ?? TOKEN_SERVICE, granted);
  const offline = form.get('access_type') === 'offline' || form.get('offline_token') === 'true';
  const body = {
    token,
    access_token: token,
    expires_in: signer.seconds,
    issued_at: new Date().toISOString(),
    ...(offline && user !== null ? { refresh_token: signer.refreshToken(user) } : {}),
  };
  response.end(JSON.stringify(body));
}

function whoAsks(request: IncomingMessage, form: URLSearchParams, signer: Signer): User {
  const refresh = form.get('refresh_token');
  if (refresh !== null) return signer.ownerOf(refresh);
  const basic = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const pair = basic === undefined ? formPair(form) : Buffer.from(basic, 'base64').toString();
  if (pair === undefined) return null;
  const colon = pair.indexOf(':');
  const user = pair.slice(0, colon);
  return isUser(user, pair.slice(colon + 1)) ? user : undefined;
}

class Signer {
  readonly seconds: number;
  readonly #key: Buffer;
  readonly #chain: readonly string[];

  constructor(key: Buffer, certificate: string, seconds: number) {
    this.seconds = seconds;
    this.#key = key;
    this.#chain = [certificate.replaceAll(/-----[^-]+-----|\s/g, '')];
  }

  accessToken(user: string | null, audience: string, access: readonly Access[]): string {
    const now = Math.floor(Date.now() / 1000);
    const header = { typ: 'JWT', alg: 'RS256', x5c: this.#chain };
    const claims = {
      iss: TOKEN_HOST,
      sub: user ?? '',
      aud: audience,
      iat: now,
      nbf: now - 10,
      exp: now + this.seconds,
      jti: markedSecret(randomUUID()),
      access,
    };
    const signed = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${signed}.${sign('sha256', Buffer.from(signed), this.#key).toString('base64url')}`;
  }

  refreshToken(user: string): string {
    return `${user}.${markedSecret(createHmac('sha256', this.#key).update(user).digest('base64url'))}`;
  }

  ownerOf(refreshToken: string): string | undefined {
    const user = refreshToken.slice(0, refreshToken.lastIndexOf('.'));
    return this.refreshToken(user) === refreshToken ? user : undefined;
  }
}

function formPair(form: URLSearchParams): string | undefined {
  const username = form.get('username');
  return username === null ? undefined : `${username}:${form.get('password') ?? ''}`;
}

// The argument was made by `createTokenServer`.
if (import.meta.main) serve(JSON.parse(process.argv[2] ?? '') as TokenConfig);
