import type { Exchange } from './exchange.ts';

/** How long a client that has its answer may go on sending, in milliseconds. */
const LINGER_MS = 5_000;

/**
 * Throws away what a client still sends of a body that nobody wants any more. To cut it at once would reset the
 * connection, and the answer might be lost (RFC 9112 section 9.6); to read it all may take hours.
 */
export function throwAwayUnread({ request, response }: Pick<Exchange, 'request' | 'response'>): void {
  if (request.complete || request.destroyed) return;
  request.resume();
  const linger = (): void => {
    if (request.complete || request.destroyed) return;
    const timer = setTimeout(() => request.socket.destroy(), LINGER_MS);
    const done = (): void => clearTimeout(timer);
    request.once('end', done).once('close', done);
  };
  if (response.closed) linger();
  else response.once('close', linger);
}
