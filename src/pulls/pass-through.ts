import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Dispatcher } from 'undici';
import { BreakwaterError } from '../registry/errors.ts';
import { endToEndHeaders, headerPairs } from '../registry/headers.ts';
import type { RepositoryName } from '../registry/name.ts';
import { parseRoute } from '../registry/route.ts';
import { upstreamFailure } from '../upstream/failure.ts';
import type { RequestBody, Upstream, UpstreamAnswer } from '../upstream/upstream.ts';
import { createClientBody, hasBody, passing, whenGone } from './client-body.ts';
import { cacheHeaders, type Exchange } from './exchange.ts';
import { orGiveUp } from './patience.ts';

/** Sends a request on as it is and its answer back as it is; nothing is stored. */
export type PassThrough = (exchange: Exchange, onAnswer?: (answer: UpstreamAnswer) => void) => Promise<void>;

const METHODS = new Set<string>(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** Set anew on the way out, or not ours to repeat. */
const NOT_FORWARDED = new Set(['host', 'authorization', 'expect', 'accept-encoding']);
/** Docker Hub counts a 304 on a manifest as a pull: a question of ours is never put under a condition. */
const CONDITIONS = /^if-(none-match|modified-since|match|unmodified-since)$/;

export function createPassThrough(upstream: Upstream, bodyTimeout: number): PassThrough {
  return async (exchange, onAnswer) => {
    const { request, outcome } = exchange;
    outcome.cacheStatus ??= 'BYPASS';
    const body = hasBody(request) ? createClientBody(exchange, bodyTimeout) : undefined;
    try {
      const asking = body && { body: passing(body), signal: whenGone(exchange) };
      const answer = await askInTime(upstream, exchange, asking);
      onAnswer?.(answer);
      await relay(exchange, answer);
    } finally {
      body?.release();
    }
  };
}

/** Gives the client upstream's answer as it is. */
export async function relay(
  exchange: Exchange,
  answer: UpstreamAnswer,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { request, response, outcome } = exchange;
  response.writeHead(answer.status, {
    ...endToEndHeaders(answer.headers),
    ...headers,
    ...cacheHeaders(exchange),
  });
  if (request.method === 'HEAD') {
    answer.body.destroy();
    response.end();
    return;
  }
  answer.body.on('data', (chunk: Buffer) => {
    outcome.bytesSent += chunk.length;
  });
  try {
    await pipeline(answer.body, response);
  } catch (thrown) {
    // a client that leaves in the middle is no failure; upstream's break cut the answer, as it must
    if (!request.destroyed) throw upstreamFailure(thrown, answer.host);
  }
}

/** What goes with a question beside what the client's request says. */
interface Asking {
  readonly body?: RequestBody;
  readonly signal?: AbortSignal;
  /** In place of those that the client sent. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly repository?: RepositoryName;
  readonly scope?: string;
}

/** A question that brings nothing is given up in time; what a push brings may take as long as it takes. */
async function askInTime(
  upstream: Upstream,
  exchange: Exchange,
  asking: Asking | undefined,
): Promise<UpstreamAnswer> {
  const asked = askAsIs(upstream, exchange, asking);
  if (!isReading(exchange.request.method)) return asked;
  try {
    return await orGiveUp(asked, exchange);
  } catch (thrown) {
    asked.then(
      ({ body }) => body.destroy(),
      () => undefined, // told to the client already, or of no more use
    );
    throw thrown;
  }
}

/** Asks upstream what the client asked, word for word. */
export async function askAsIs(
  upstream: Upstream,
  exchange: Exchange,
  { headers, ...asking }: Asking = {},
): Promise<UpstreamAnswer> {
  const { request, registry, identity, outcome } = exchange;
  const asked = performance.now();
  const path = request.url ?? '/';
  const method = methodOf(request);
  const route = parseRoute(path);
  const answer = await upstream.ask({
    registry,
    method,
    path,
    headers: { ...requestHeaders(request, route.kind === 'manifest' && isReading(method)), ...headers },
    identity,
    follow: isReading(method) && (route.kind === 'blob' || route.kind === 'manifest'),
    ...('repository' in route ? { repository: route.repository } : {}),
    ...asking,
  });
  outcome.upstream = answer.host;
  outcome.upstreamTime = performance.now() - asked;
  return answer;
}

function methodOf(request: IncomingMessage): Dispatcher.HttpMethod {
  const { method } = request;
  if (isMethod(method)) return method;
  throw new BreakwaterError('METHOD_NOT_ALLOWED', `method ${method ?? ''} is not supported`);
}

function isReading(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD';
}

function isMethod(method: string | undefined): method is Dispatcher.HttpMethod {
  return method !== undefined && METHODS.has(method);
}

function requestHeaders(request: IncomingMessage, unconditional: boolean): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'accept-encoding': 'identity' };
  for (const [name, value] of headerPairs(endToEndHeaders(request.rawHeaders))) {
    const lower = name.toLowerCase();
    if (NOT_FORWARDED.has(lower) || (unconditional && CONDITIONS.test(lower))) continue;
    const before = headers[lower];
    headers[lower] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}
