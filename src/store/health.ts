import type { Logger } from 'pino';

/** Whether the store works; while it does not, pulls go past it. */
export interface StoreHealth {
  /** What is wrong, or undefined. */
  readonly degraded: string | undefined;
  fault(error: unknown, doing: string): void;
  /** Something was stored: what was wrong is over. */
  recovered(): void;
}

/** Logs when the store begins to fail and when it works again, not each time between. */
export function createStoreHealth(log: Logger): StoreHealth {
  let degraded: string | undefined;
  return {
    get degraded() {
      return degraded;
    },
    fault(error, doing) {
      const reason = error instanceof Error ? error.message : String(error);
      if (degraded === undefined)
        log.error({ doing, reason }, 'store degraded: pulls go past the cache where it fails');
      degraded = `${doing}: ${reason}`;
    },
    recovered() {
      if (degraded !== undefined) log.info('store recovered');
      degraded = undefined;
    },
  };
}
