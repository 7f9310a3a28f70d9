import { BreakwaterError } from '../registry/errors.ts';
import { parseRoute } from '../registry/route.ts';
import { isLocalToken } from './issued-tokens.ts';
import type { Cost, RateLimits } from './rate-limits.ts';
import { toRefusal, UpstreamRefusal } from './refusal.ts';
import type { Upstream, UpstreamAnswer, UpstreamRequest } from './upstream.ts';

/**
 * An upstream that keeps to the registries' limits: what they say of them is noted, and one that refused is left
 * alone until it said it may be asked again. `offline` asks nobody at all.
 */
export function createConsiderate(upstream: Upstream, limits: RateLimits, offline: boolean): Upstream {
  return {
    async ask(request) {
      const { registry, identity } = request;
      if (offline)
        throw new BreakwaterError('UPSTREAM_OFFLINE', `${registry.name} is not asked: the proxy is offline`);
      const cost = costOf(request);
      const pause = limits.holdOff(registry.name, identity, cost);
      if (pause > 0) throw limited(registry.name, pause, {});
      const answer = await upstream.ask(request);
      if (answer.status === 401 && isLocal(request)) throw await unknownToken(answer);
      if (answer.status !== 429) {
        limits.observe(registry.name, identity, cost, answer.headers);
        return answer;
      }
      const { headers, body } = await toRefusal(answer);
      const text = body.toString('utf8');
      const held = limits.refused(registry.name, identity, cost, answer.headers, text);
      throw limited(registry.name, held, headers, text);
    },
  };
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
 * A token of the proxy's own making, from when the token service was away, says nothing to the registry: its
 * challenge goes on to the client, for what the cache cannot answer.
 */
async function unknownToken(answer: UpstreamAnswer): Promise<UpstreamRefusal> {
  const { host, status, headers, body } = await toRefusal(answer);
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
