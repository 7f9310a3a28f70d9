import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { proxyName } from '../../config/proxy-address.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import { checkLiteral, type AddressCheck } from '../destinations.ts';
import { tlsFailure } from '../tls/failure.ts';
import { secure } from '../tls/secure.ts';
import type { TlsProfiles } from '../tls/profiles.ts';
import { proxyError, tunnelThrough } from './http-proxy.ts';
import type { Names } from './names.ts';
import type { Race } from './race.ts';
import type { Hop, Routes, Traffic } from './routes.ts';
import { settledWithin } from './settled-within.ts';
import { connectThrough } from './socks-proxy.ts';

interface DialTarget {
  readonly traffic: Traffic;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Refuses addresses; undefined where every one will do. */
  readonly check: AddressCheck | undefined;
  /** Ends it; its reason is thrown. The time to find the address of a name does not count for it: see `Clock`. */
  readonly clock: Clock;
}

/** Runs from when an address is known until a connection is made. */
export interface Clock {
  readonly signal: AbortSignal;
  start(): void;
}

/** Makes connections: directly or through proxies, to any of a host's addresses that is reached and allowed. */
export interface Dialer {
  /** A connection to the host itself, whoever is between. */
  dial(target: DialTarget): Promise<Socket>;
  /** A connection to a proxy. */
  dialProxy(hop: Hop, clock: Clock): Promise<Socket>;
  /** Refuses a host that a proxy is going to resolve. */
  checkBeyondProxy(host: string, check: AddressCheck | undefined): Promise<void>;
  readonly routes: Routes;
  /** What we call ourselves to proxies. */
  readonly via: string;
}

/** Milliseconds before a host that refused at all its addresses is tried once more; spread, as many ask at once. */
const RETRY_MS = { least: 50, spread: 150 } as const;
/** How long our own resolver is asked about a name that the proxy resolves: it need not know it. */
const LOOK_MS = 2_000;
/** For how long a name that it does not know is not asked for again. */
const UNKNOWN_MS = 60_000;
const MAX_UNKNOWN = 2_000;

export interface DialerParts {
  readonly names: Names;
  readonly race: Race;
  readonly routes: Routes;
  readonly tls: TlsProfiles;
  readonly via: string;
}

/** The name of this process on the way: what comes back with it has gone in a circle (RFC 9110, 7.6.3). */
export function newVia(): string {
  return `1.1 breakwater-${randomBytes(8).toString('hex')}`;
}

export function createDialer({ names, race, routes, tls, via }: DialerParts): Dialer {
  const unknownHere = new LRUCache<string, true>({ max: MAX_UNKNOWN, ttl: UNKNOWN_MS });

  /** Addresses that are allowed; where none is, why not. */
  async function addressesOf(
    host: string,
    check: AddressCheck | undefined,
    again: boolean,
  ): Promise<readonly string[]> {
    const literal = check && checkLiteral(host, check);
    if (literal !== undefined) throw literal;
    const addresses = await names.resolve(host, again);
    const good = addresses.filter((address) => check?.(address) === undefined);
    const refusal = good.length > 0 ? undefined : check?.(addresses[0]);
    if (refusal !== undefined) throw refusal;
    return good;
  }

  async function direct(
    host: string,
    port: number,
    check: AddressCheck | undefined,
    clock: Clock,
  ): Promise<Socket> {
    const { signal } = clock;
    const addresses = await addressesOf(host, check, false);
    signal.throwIfAborted();
    clock.start();
    try {
      return await race.connect(addresses, port, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const pause = RETRY_MS.least + Math.random() * RETRY_MS.spread;
      // whoever ends it says why
      await delay(pause, undefined, { signal }).catch(() => signal.throwIfAborted());
      // it may have moved
      const now = await addressesOf(host, check, true).catch(() => {
        throw thrown;
      });
      return race.connect(now, port, signal);
    }
  }

  async function dialProxy(hop: Hop, clock: Clock): Promise<Socket> {
    const { scheme, host, port } = hop.proxy;
    let socket: Socket | undefined;
    try {
      socket = await direct(host, port, undefined, clock);
      if (scheme !== 'https') return socket;
      return await secure(socket, tls.profileFor(host, port), clock.signal);
    } catch (thrown) {
      socket?.destroy();
      if (thrown instanceof BreakwaterError) throw thrown;
      const failure = tlsFailure(thrown, proxyName(hop.proxy));
      const reason = failure?.message ?? (thrown instanceof Error ? thrown.message : String(thrown));
      throw proxyError(hop, `cannot be reached: ${reason}`, {
        cause: thrown,
        ...(failure?.mend === undefined ? {} : { mend: failure.mend }),
      });
    }
  }

  /** Inside many companies only the proxy knows the names of the world. */
  async function addressesHere(host: string): Promise<readonly string[] | undefined> {
    const asked = names.resolve(host).catch(() => undefined);
    const known = (await settledWithin(asked, LOOK_MS)) ? await asked : undefined;
    if (known === undefined) unknownHere.set(host, true);
    return known;
  }

  async function checkBeyondProxy(host: string, check: AddressCheck | undefined): Promise<void> {
    if (check === undefined) return;
    const literal = checkLiteral(host, check);
    if (literal !== undefined) throw literal;
    const known = unknownHere.has(host) ? undefined : await addressesHere(host);
    // the proxy takes which of them it likes
    for (const address of known ?? [undefined]) {
      const refusal = check(address);
      if (refusal !== undefined) throw refusal;
    }
  }

  return {
    routes,
    via,
    dialProxy,
    checkBeyondProxy,
    async dial({ traffic, host, port, check, clock }) {
      const hop = routes(traffic, host, port);
      if (hop === undefined) return direct(host, port, check, clock);
      await checkBeyondProxy(host, check);
      const socket = await dialProxy(hop, clock);
      const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
      try {
        return hop.proxy.scheme === 'socks5'
          ? await connectThrough(socket, hop, host, port, clock.signal)
          : await tunnelThrough(socket, hop, target, via, clock.signal);
      } catch (thrown) {
        if (thrown instanceof BreakwaterError) throw thrown;
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        throw proxyError(hop, `did not connect with ${target}: ${reason}`, { cause: thrown });
      }
    },
  };
}

/** A clock that stops with `reason` after some milliseconds; `outer` stops it too. */
export function createClock(
  milliseconds: number,
  reason: () => Error,
  outer?: AbortSignal,
): Clock & Disposable {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  return {
    signal: outer === undefined ? late.signal : AbortSignal.any([outer, late.signal]),
    start() {
      timer ??= setTimeout(() => late.abort(reason()), milliseconds);
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
