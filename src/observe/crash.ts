import type { Logger } from 'pino';
import { traceOf } from '../registry/trace.ts';

/**
 * Ends the process at a failure that nobody caught, as Node does, but without what Node prints of it: the error's
 * message and properties, which may hold a request with its credentials.
 * @param beforeEnd writes what waits to be written.
 */
export function endOnCrash(log: Logger, beforeEnd: () => void): void {
  process.on('uncaughtException', (thrown, origin) => {
    try {
      log.fatal({ origin, trace: traceOf(thrown) }, 'an unexpected failure ends the proxy');
      beforeEnd();
    } finally {
      process.exit(1);
    }
  });
}
