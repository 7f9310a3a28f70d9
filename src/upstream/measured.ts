import { BreakwaterError } from '../registry/errors.ts';
import type { Transport } from './transport.ts';

/** Told of each answer's status and of the milliseconds until its headers; without a status where none came. */
export type OnAnswered = (url: URL, status: number | undefined, milliseconds: number) => void;

/** Measures a transport; a request that its client left says nothing of the host. */
export function measured(transport: Transport, onAnswered: OnAnswered): Transport {
  return {
    async send(request) {
      const asked = performance.now();
      try {
        const answer = await transport.send(request);
        onAnswered(request.url, answer.status, performance.now() - asked);
        return answer;
      } catch (thrown) {
        if (!(thrown instanceof BreakwaterError && thrown.source === 'client'))
          onAnswered(request.url, undefined, performance.now() - asked);
        throw thrown;
      }
    },
    close: () => transport.close(),
  };
}
