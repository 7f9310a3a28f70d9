import type { Logger } from 'pino';
import { BreakwaterError } from '../registry/errors.ts';
import type { Transport } from './transport.ts';

/** Remembers for a moment which hosts cannot be reached, so that not every client waits for the same time-out. */
export interface Circuit {
  /** @throws the failure that is remembered, where the host is left alone for now. */
  check(host: string): void;
  reached(host: string): void;
  failed(host: string, failure: BreakwaterError): void;
}

interface Break {
  readonly failure: BreakwaterError;
  failures: number;
  until: number;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;
/** What says that a host is away, not that one answer went wrong. */
const AWAY = new Set(['UPSTREAM_DNS', 'UPSTREAM_CONNECT']);

export function createCircuit(log: Logger, now: () => number): Circuit {
  const breaks = new Map<string, Break>();
  return {
    check(host) {
      const broken = breaks.get(host);
      if (broken === undefined || now() >= broken.until) return;
      const { failure } = broken;
      throw new BreakwaterError(failure.code, `${failure.message} (remembered; asked again in a moment)`, {
        cause: failure,
      });
    },
    reached(host) {
      if (breaks.delete(host)) log.info({ host }, 'host reached again');
    },
    failed(host, failure) {
      if (!AWAY.has(failure.code)) return;
      const failures = (breaks.get(host)?.failures ?? 0) + 1;
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
      if (failures === 1)
        log.warn({ host, code: failure.code, reason: failure.message }, 'host cannot be reached');
      breaks.set(host, { failure, failures, until: now() + pause });
    },
  };
}

/** Puts the circuit in front of a transport. */
export function withCircuit(transport: Transport, circuit: Circuit): Transport {
  return {
    async send(request) {
      const { host } = request.url;
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
