/** What there is to say of the proxy's part in serving clients. */
interface ReadinessReport {
  /** Whether clients are to be sent here. */
  readonly ready: boolean;
  readonly phase: Phase;
  readonly ca: 'usable' | 'expired';
  /** `degraded`: pulls go past the cache where it fails, so clients are still served. */
  readonly store: 'usable' | 'degraded';
}

type Phase = 'starting' | 'listening' | 'draining';

/** Whether the proxy serves, and if not, why. */
export interface Readiness {
  report(): ReadinessReport;
  enter(phase: Phase): void;
}

export interface ReadinessParts {
  readonly ca: { readonly notAfter: Date };
  readonly store: { readonly degraded: string | undefined };
  readonly now: () => number;
}

export function createReadiness({ ca, store, now }: ReadinessParts): Readiness {
  let phase: Phase = 'starting';
  return {
    report() {
      const expired = now() >= ca.notAfter.getTime();
      return {
        ready: phase === 'listening' && !expired,
        phase,
        ca: expired ? 'expired' : 'usable',
        store: store.degraded === undefined ? 'usable' : 'degraded',
      };
    },
    enter(next) {
      phase = next;
    },
  };
}
