import { BreakwaterError } from '../registry/errors.ts';
import { parseRoute } from '../registry/route.ts';
import type { RateLimits } from './rate-limits.ts';
import { toRefusal, UpstreamRefusal } from './refusal.ts';
import type { Upstream, UpstreamRequest } from './upstream.ts';

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
      const pause = limits.holdOff(registry.name, identity, isCounted(request));
      if (pause > 0) throw heldOff(registry.name, pause);
      const answer = await upstream.ask(request);
      if (answer.status !== 429) {
        limits.observe(registry.name, identity, answer.headers);
        return answer;
      }
      const refusal = await toRefusal(answer);
      limits.refused(registry.name, identity, answer.headers, refusal.body.toString('utf8'));
      throw refusal;
    },
  };
}

/** Docker Hub counts GET of manifests, answered or not modified; HEAD and all else is free. */
function isCounted({ method, path }: UpstreamRequest): boolean {
  return method === 'GET' && parseRoute(path).kind === 'manifest';
}

function heldOff(registry: string, pause: number): UpstreamRefusal {
  const seconds = String(Math.ceil(pause / 1000));
  const message = `${registry} refuses further requests for now; it is asked again in ${seconds} s`;
  const body = JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message }] });
  const headers = { 'content-type': 'application/json', 'retry-after': seconds };
  return new UpstreamRefusal('UPSTREAM_LIMITED', registry, 429, headers, Buffer.from(body));
}
