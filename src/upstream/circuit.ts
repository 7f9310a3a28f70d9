import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { BreakwaterError } from '../registry/errors.ts';
import { urlHost } from '../registry/registry-host.ts';
import type { Transport } from './transport.ts';

/** Remembers for a moment which hosts cannot be reached, so that not every client waits for the same time-out. */
export interface Circuit {
  /**
   * Lets a request go, or throws the failure that is remembered, where the host is left alone for now. When the
   * pause is over one request goes ahead, and the others wait for what becomes of it no more than before.
   * @throws `UPSTREAM_DNS`, `UPSTREAM_CONNECT` or `UPSTREAM_PROXY`.
   */
  check(host: string): void;
  reached(host: string): void;
  failed(host: string, failure: BreakwaterError): void;
}

interface Break {
  readonly failure: BreakwaterError;
  readonly failures: number;
  readonly until: number;
  /** Whether the one request that goes ahead is under way. */
  probing: boolean;
}

export const FIRST_PAUSE_MS = 1_000;
export const LONGEST_PAUSE_MS = 15_000;
/** What says that a host is away, not that one answer went wrong. */
const AWAY = new Set(['UPSTREAM_DNS', 'UPSTREAM_CONNECT', 'UPSTREAM_PROXY']);
/** A host that is forgotten is asked again: nothing is lost but the time of one request. */
const MAX_HOSTS = 10_000;

export function createCircuit(log: Logger, now: () => number): Circuit {
  const breaks = new LRUCache<string, Break>({ max: MAX_HOSTS });

  function reached(host: string): void {
    if (breaks.delete(host)) log.info({ host }, 'host reached again');
  }

  return {
    check(host) {
      const broken = breaks.get(host);
      if (broken === undefined) return;
      if (now() >= broken.until && !broken.probing) {
        broken.probing = true;
        return;
      }
      const { failure } = broken;
      throw new BreakwaterError(failure.code, `${failure.message} (remembered; asked again in a moment)`, {
        cause: failure,
        ...(failure.mend === undefined ? {} : { mend: failure.mend }),
      });
    },
    reached,
    failed(host, failure) {
      // a client that left says nothing of the host; if it was the one to try, another one may
      if (failure.source === 'client') {
        const waiting = breaks.get(host);
        if (waiting !== undefined) waiting.probing = false;
        return;
      }
      // it answered, if badly
      if (!AWAY.has(failure.code)) return reached(host);
      const known = breaks.get(host);
      // of all that were under way when it went away only the first counts
      if (known !== undefined && !known.probing) return;
      const failures = (known?.failures ?? 0) + 1;
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
      if (failures === 1)
        log.warn({ host, code: failure.code, reason: failure.message }, 'host cannot be reached');
      breaks.set(host, { failure, failures, until: now() + pause, probing: false });
    },
  };
}

/** Puts the circuit in front of a transport. */
export function withCircuit(transport: Transport, circuit: Circuit): Transport {
  return {
    async send(request) {
      const host = urlHost(request.url).name;
      circuit.check(host);
      try {
        const answer = await transport.send(request);
        circuit.reached(host);
        return answer;
      } catch (thrown) {
        if (thrown instanceof BreakwaterError) circuit.failed(host, thrown);
        throw thrown;
      }
    },
    close: () => transport.close(),
  };
}
