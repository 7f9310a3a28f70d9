import { BreakwaterError } from '../registry/errors.ts';
import type { PrivateImages } from '../registry/visibility.ts';
import { ANONYMOUS } from './identity.ts';
import { discard, type Upstream, type UpstreamAnswer, type UpstreamRequest } from './upstream.ts';

/**
 * An upstream by whose answers the proxy's own credentials show nobody more than upstream shows to everybody, unless
 * the policy is `shared`. What they opened is asked for once more without any: then it is public, or upstream's
 * refusal is the answer.
 */
export function createAdmitted(upstream: Upstream, policy: PrivateImages): Upstream {
  if (policy === 'shared') return upstream;

  async function withoutCredentials(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const answer = await upstream.ask({ ...request, identity: ANONYMOUS });
    if (policy !== 'deny' || (answer.status !== 401 && answer.status !== 403)) return answer;
    await discard(answer);
    throw new BreakwaterError('PRIVATE_DENIED', `${request.registry.name}: private images are not served`, {
      mend: 'Pull with credentials of your own, or set PRIVATE_IMAGES=shared on the proxy.',
    });
  }

  return {
    async ask(request) {
      const { method } = request;
      const answer = await upstream.ask(request);
      const isReading = method === 'GET' || method === 'HEAD';
      if (!isReading || request.identity.kind !== 'proxy' || answer.visibility !== 'shared') return answer;
      try {
        if (method === 'GET' && answer.status < 300) {
          const { range: _, ...headers } = request.headers;
          const probe = await upstream.ask({ ...request, method: 'HEAD', headers, identity: ANONYMOUS });
          await discard(probe);
          if (probe.status === 200) return { ...answer, visibility: 'public' };
        }
        const open = await withoutCredentials(request);
        answer.body.destroy();
        return open;
      } catch (thrown) {
        answer.body.destroy();
        throw thrown;
      }
    },
  };
}
