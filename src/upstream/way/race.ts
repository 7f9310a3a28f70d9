import { connect, isIPv6, type Socket } from 'node:net';
import { LRUCache } from 'lru-cache';

/** Connects with the first of a host's addresses that takes the connection (RFC 8305, "Happy Eyeballs"). */
export interface Race {
  /**
   * @param signal ends it; its reason is thrown.
   * @throws `AggregateError` of what each address said, in the order they were tried.
   */
  connect(addresses: readonly string[], port: number, signal: AbortSignal): Promise<Socket>;
}

/** RFC 8305, 5: how long one address is waited for before the next is tried beside it. */
const ATTEMPT_DELAY_MS = 250;
/** An address that failed is tried last for this long. */
const REMEMBERED_MS = 60_000;
const MAX_REMEMBERED = 2_000;

export function createRace(): Race {
  const failed = new LRUCache<string, true>({ max: MAX_REMEMBERED, ttl: REMEMBERED_MS });
  return {
    connect(addresses, port, signal) {
      const key = (address: string): string => `${address} ${port}`;
      const order = alternating(addresses);
      const good = order.filter((address) => !failed.has(key(address)));
      const bad = order.filter((address) => failed.has(key(address)));
      return race([...good, ...bad], port, signal, (address, works) => {
        if (works) failed.delete(key(address));
        else failed.set(key(address), true);
      });
    },
  };
}

/** One of each family in turn, beginning with that of the first. */
function alternating(addresses: readonly string[]): readonly string[] {
  const [first = ''] = addresses;
  const same = addresses.filter((address) => isIPv6(address) === isIPv6(first));
  const other = addresses.filter((address) => isIPv6(address) !== isIPv6(first));
  return Array.from({ length: Math.max(same.length, other.length) }, (_, at) => [same[at], other[at]])
    .flat()
    .filter((address) => address !== undefined);
}

function race(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
  onResult: (address: string, works: boolean) => void,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const waiting = [...addresses];
    const running = new Map<Socket, string>();
    const errors: Error[] = [];
    let timer: NodeJS.Timeout | undefined;

    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      for (const socket of running.keys()) socket.destroy();
    }
    function onAbort(): void {
      // no answer for the whole time is a failure; for less than a turn it says nothing
      const [, ...older] = [...running.values()].toReversed();
      for (const address of waiting.length === 0 ? running.values() : older) onResult(address, false);
      end();
      reject(signal.reason);
    }
    function next(): void {
      clearTimeout(timer);
      const address = waiting.shift();
      if (address === undefined) {
        if (running.size > 0) return;
        end();
        return reject(new AggregateError(errors, errors.map(({ message }) => message).join('; ')));
      }
      const socket = connect({ host: address, port, noDelay: true });
      running.set(socket, address);
      const onError = (error: Error): void => {
        running.delete(socket);
        socket.destroy();
        errors.push(error);
        onResult(address, false);
        next();
      };
      socket.once('error', onError);
      socket.once('connect', () => {
        socket.off('error', onError);
        running.delete(socket);
        // they had a head start and lost it: the next connection need not wait for them
        for (const slower of running.values()) onResult(slower, false);
        end();
        onResult(address, true);
        resolve(socket);
      });
      if (waiting.length > 0) timer = setTimeout(next, ATTEMPT_DELAY_MS);
    }

    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    next();
  });
}
