import type { Logger } from 'pino';
import type { BreakwaterError } from '../registry/errors.ts';

/** Whether the store works; while it does not, pulls go past it. */
export interface StoreHealth {
  /** What is wrong, or undefined. */
  readonly degraded: string | undefined;
  /** How often something went wrong since the start. */
  readonly faults: number;
  fault(error: unknown, doing: string): void;
  /** Something was stored: what was wrong is over. */
  recovered(): void;
}

/**
 * Logs when the store begins to fail and when it works again, not each time between.
 * @param readOnly why nothing can be written, from the start to the end.
 */
export function createStoreHealth(log: Logger, readOnly: BreakwaterError | undefined): StoreHealth {
  let degraded = readOnly?.message;
  if (readOnly !== undefined) {
    const { message: reason, mend } = readOnly;
    log.error({ reason, mend }, 'cache is read-only: what is in it is served, all else passes by it');
  }
  let faults = 0;
  return {
    get degraded() {
      return degraded;
    },
    get faults() {
      return faults;
    },
    fault(error, doing) {
      faults += 1;
      const reason = error instanceof Error ? error.message : String(error);
      if (degraded === undefined)
        log.error({ doing, reason }, 'store degraded: pulls go past the cache where it fails');
      degraded = `${doing}: ${reason}`;
    },
    recovered() {
      if (readOnly !== undefined) return;
      if (degraded !== undefined) log.info('store recovered');
      degraded = undefined;
    },
  };
}
