import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import type { RepositoryName } from '../registry/name.ts';
import { parseRoute } from '../registry/route.ts';
import { isLocalToken } from './issued-tokens.ts';
import { isOutage, isOutageStatus } from './outage.ts';
import type { Cost, RateLimits } from './rate-limits.ts';
import { toRefusal, UpstreamRefusal } from './refusal.ts';
import type { Upstream, UpstreamAnswer, UpstreamRequest } from './upstream.ts';

/** Keeps what repositories said when they asked for credentials, by who was asked for them. */
export interface Challenges {
  find(registry: string, repository: RepositoryName, asker: string): string | undefined;
  put(registry: string, repository: RepositoryName, asker: string, challenge: string): void;
  delete(registry: string, repository: RepositoryName, asker: string): void;
}

export interface ConsiderateOptions {
  readonly limits: RateLimits;
  readonly challenges: Challenges;
  /** Asks nobody at all. */
  readonly offline: boolean;
}

/**
 * An upstream that keeps to the registries' limits: what they say of them is noted, and one that refused is left
 * alone until it said it may be asked again.
 */
export function createConsiderate(
  upstream: Upstream,
  { limits, challenges, offline }: ConsiderateOptions,
): Upstream {
  async function ask(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const { registry, identity } = request;
    if (offline)
      throw new BreakwaterError('UPSTREAM_OFFLINE', `${registry.name} is not asked: the proxy is offline`);
    const cost = costOf(request);
    const pause = limits.holdOff(registry.name, identity, cost);
    if (pause > 0) throw limited(registry.name, pause, {});
    const answer = await upstream.ask(request);
    if (answer.status === 401 && isLocal(request)) throw unanswered(await toRefusal(answer));
    if (answer.status !== 429) {
      limits.observe(registry.name, identity, cost, answer.headers);
      return answer;
    }
    const { headers, body } = await toRefusal(answer);
    const text = body.toString('utf8');
    const held = limits.refused(registry.name, identity, cost, answer.headers, text);
    throw limited(registry.name, held, headers, text);
  }

  return { ask: (request) => recalling(request, challenges, () => ask(request)) };
}

/**
 * Recalls in an outage which repositories ask for credentials: containerd sends those it has only when it is asked,
 * and what is cached may be theirs. Where the cache can answer without, it does.
 */
async function recalling(
  { registry, repository, identity, scope }: UpstreamRequest,
  challenges: Challenges,
  ask: () => Promise<UpstreamAnswer>,
): Promise<UpstreamAnswer> {
  // a challenge to push says nothing of pulls
  if (scope !== undefined) return ask();
  const { kind } = identity;
  if (repository === undefined || (kind !== 'proxy' && kind !== 'anonymous')) return ask();
  const recalled = (): UpstreamRefusal | undefined => {
    const challenge = challenges.find(registry.name, repository, kind);
    if (challenge === undefined) return undefined;
    const headers = { 'www-authenticate': challenge };
    return unanswered({ host: registry.name, status: 401, headers, body: Buffer.alloc(0) });
  };
  let answer: UpstreamAnswer;
  try {
    answer = await ask();
  } catch (thrown) {
    throw isOutage(asBreakwaterError(thrown)) ? (recalled() ?? thrown) : thrown;
  }
  const challenge = answer.headers['www-authenticate'];
  if (answer.status === 401 && challenge !== undefined)
    challenges.put(registry.name, repository, kind, challenge.toString());
  else if (answer.status < 300) challenges.delete(registry.name, repository, kind);
  const refusal = isOutageStatus(answer.status) ? recalled() : undefined;
  if (refusal === undefined) return answer;
  answer.body.destroy();
  throw refusal;
}

/** Docker Hub counts GET of manifests, answered or not modified; HEAD and all else is free. */
function costOf({ method, path }: UpstreamRequest): Cost {
  if ((method !== 'GET' && method !== 'HEAD') || parseRoute(path).kind !== 'manifest') return 'free';
  return method === 'GET' ? 'pull' : 'check';
}

function isLocal({ identity }: UpstreamRequest): boolean {
  return identity.kind === 'client' && isLocalToken(identity.authorization);
}

/**
 * A challenge in place of an answer: the registry cannot be asked, or with a token that the proxy made while it
 * could not. It reaches the client where the cache has no answer either.
 */
function unanswered({
  host,
  status,
  headers,
  body,
}: Pick<UpstreamRefusal, 'host' | 'status' | 'headers' | 'body'>): UpstreamRefusal {
  return new UpstreamRefusal('UPSTREAM_TOKEN', host, status, headers, body);
}

/** A 429 in the form that clients read, and that says when to come again. */
function limited(
  registry: string,
  pause: number,
  headers: UpstreamRefusal['headers'],
  text = '',
): UpstreamRefusal {
  const seconds = String(Math.ceil(pause / 1000));
  return new UpstreamRefusal(
    'UPSTREAM_LIMITED',
    registry,
    429,
    { ...headers, 'content-type': 'application/json', 'retry-after': seconds },
    Buffer.from(text.includes('"errors"') ? text : limitedBody(registry, seconds, text.trim())),
  );
}

/** @param said what the registry said of it in words, if anything. */
function limitedBody(registry: string, seconds: string, said: string): string {
  const words = said === '' ? '' : ` (${said.slice(0, 200)})`;
  const message = `${registry} refuses further requests for now${words}; it is asked again in ${seconds} s`;
  return JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message }] });
}
