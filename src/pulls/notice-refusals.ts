import type { Acceptance } from '../cache/acceptance.ts';
import { identityKey } from '../upstream/identity.ts';
import type { Upstream } from '../upstream/upstream.ts';

const REFUSALS = new Set([401, 403]);

/** An upstream whose refusals end what it accepted before: in an outage after them the cache is no way around. */
export function noticeRefusals(upstream: Upstream, acceptance: Acceptance): Upstream {
  return {
    async ask(request) {
      const answer = await upstream.ask(request);
      const { identity, registry, repository, method } = request;
      const isRefused = REFUSALS.has(answer.status) && (method === 'GET' || method === 'HEAD');
      // where a redirect led may refuse for reasons of its own
      const isTheirs = isRefused && answer.host === registry.name;
      if (isTheirs && repository !== undefined && identity.kind === 'client')
        acceptance.refused(identityKey(identity), registry.name, repository);
      return answer;
    },
  };
}
