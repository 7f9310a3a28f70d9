import { asBreakwaterError } from '../registry/errors.ts';
import { isOutage, isOutageStatus } from '../upstream/outage.ts';
import type { Upstream, UpstreamAnswer } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { askAsIs, relay } from './pass-through.ts';
import { withPatience } from './patience.ts';

/**
 * Answers HEAD of a blob where pushes are allowed: clients ask so for what they need not push, and what is cached
 * may be gone upstream. In an outage the cache's word is all there is.
 */
export type CheckExistence = (exchange: Exchange, fromCache: () => Promise<void>) => Promise<void>;

export function createCheckExistence(upstream: Upstream): CheckExistence {
  async function ask(exchange: Exchange): Promise<UpstreamAnswer | undefined> {
    const asked = askAsIs(upstream, exchange);
    try {
      const answer = await withPatience<UpstreamAnswer | 'late'>(asked, 'late');
      if (answer !== 'late' && !isOutageStatus(answer.status)) return answer;
    } catch (thrown) {
      if (!isOutage(asBreakwaterError(thrown))) throw thrown;
    }
    asked.then(
      ({ body }) => body.destroy(),
      () => undefined, // the cache answers in its place
    );
    return undefined;
  }

  return async (exchange, fromCache) => {
    exchange.outcome.cacheType = 'blob-by-digest';
    const answer = await ask(exchange);
    if (answer === undefined) return fromCache();
    exchange.outcome.cacheStatus = 'BYPASS';
    await relay(exchange, answer);
  };
}
