import { BreakwaterError } from '../registry/errors.ts';
import type { Exchange } from './exchange.ts';

/** Milliseconds that a client waits for upstream where the cache could answer: containerd gives up after 30 s. */
export const PATIENCE_MS = 4_000;
/** The same where what stands in is worth less than a late answer; headers are to be there within 10 s. */
export const LONG_PATIENCE_MS = 8_000;
/** The same where nothing stands in, since the request came: the client is told why before it gives up itself. */
export const LAST_PATIENCE_MS = 25_000;

/**
 * What `asked` gives, or `fallback` when it takes too long; `asked` goes on all the same.
 * @param patience milliseconds until then.
 */
export function withPatience<T>(asked: Promise<T>, fallback: T, patience: number = PATIENCE_MS): Promise<T> {
  return inTime(asked, patience, () => fallback);
}

/**
 * What `asked` gives, for a client that nothing else can be given. `asked` goes on past its end, so that a client that
 * comes again finds what it gave.
 * @throws `UPSTREAM_TIMEOUT` when it takes so long that clients give up.
 */
export function orGiveUp<T>(asked: Promise<T>, { registry, startedAt }: Exchange): Promise<T> {
  return inTime(asked, Math.max(0, startedAt + LAST_PATIENCE_MS - Date.now()), () => {
    throw new BreakwaterError(
      'UPSTREAM_TIMEOUT',
      `${registry.name} has not answered in ${LAST_PATIENCE_MS / 1_000} s; it is still waited for`,
    );
  });
}

async function inTime<T>(asked: Promise<T>, patience: number, late: () => T): Promise<T> {
  asked.catch(() => undefined); // it may fail after the client was answered
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<void>((settle) => {
    timer = setTimeout(settle, patience);
  });
  try {
    return await Promise.race([asked, overdue.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}
