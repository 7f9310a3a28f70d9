import type { Transport } from './transport.ts';

/** A transport in whose place another can be put; what is under way ends on the one that it began with. */
export interface ReplaceableTransport extends Transport {
  replace(next: Transport): void;
}

/** One of the transports, and how many answers of it are not yet read to their end. */
interface Use {
  readonly transport: Transport;
  answers: number;
}

/** @param onFailure told where one that is no longer of use cannot be closed. */
export function createReplaceableTransport(
  first: Transport,
  onFailure: (thrown: unknown) => void,
): ReplaceableTransport {
  let current: Use = { transport: first, answers: 0 };
  const uses = new Set([current]);

  function released(use: Use): void {
    use.answers -= 1;
    retire(use);
  }

  function retire(use: Use): void {
    if (use === current || use.answers > 0 || !uses.delete(use)) return;
    use.transport.close().catch(onFailure);
  }

  return {
    async send(request) {
      const use = current;
      use.answers += 1;
      try {
        const answer = await use.transport.send(request);
        answer.body.once('close', () => released(use));
        return answer;
      } catch (thrown) {
        released(use);
        throw thrown;
      }
    },
    replace(next) {
      const previous = current;
      current = { transport: next, answers: 0 };
      uses.add(current);
      retire(previous);
    },
    async close() {
      const open = [...uses].map(({ transport }) => transport.close());
      uses.clear();
      await Promise.all(open);
    },
  };
}
