import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { BreakwaterError } from '../../registry/errors.ts';

/** Keeps a flood of connections from taking all descriptors and memory. */
export interface ConnectionLimits {
  /** Counts a client's connection until it closes; or gives why there is no room for it. */
  admit(socket: Socket, address: string): BreakwaterError | undefined;
}

interface Most {
  /** Connections of all clients together, and of one address; 0 for any number. */
  readonly total: number;
  readonly perClient: number;
}

/** Connections that are open, and whether the log has been told that one was refused for them. */
interface Count {
  open: number;
  told: boolean;
}

export function createConnectionLimits({ total, perClient }: Most, log: Logger): ConnectionLimits {
  const all: Count = { open: 0, told: false };
  const clients = new Map<string, Count>();

  function refusal(count: Count, client: string, setting: string): BreakwaterError {
    if (!count.told) log.warn({ client, open: count.open }, `connections are refused: ${setting}`);
    count.told = true;
    return new BreakwaterError('CONNECTIONS_EXHAUSTED', 'too many connections are open', {
      mend: `Close some, or raise ${setting} of the proxy.`,
    });
  }

  return {
    admit(socket, address) {
      if (total !== 0 && all.open >= total) return refusal(all, address, 'MAX_CONNECTIONS');
      const own = clients.get(address) ?? { open: 0, told: false };
      if (perClient !== 0 && own.open >= perClient)
        return refusal(own, address, 'MAX_CONNECTIONS_PER_CLIENT');
      all.open += 1;
      own.open += 1;
      clients.set(address, own);
      socket.once('close', () => {
        all.open -= 1;
        own.open -= 1;
        // told again when it has been well for a while
        if (all.open <= total / 2) all.told = false;
        if (own.open === 0) clients.delete(address);
      });
      return undefined;
    },
  };
}
