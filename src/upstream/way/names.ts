import { lookup, type LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import { settledWithin } from './settled-within.ts';

/** Asks the system's resolver; `family` 0 asks for all addresses. */
type SystemLookup = (host: string, family: 0 | 4) => Promise<readonly string[]>;

/** Turns names into addresses as the system does: its files, all its name servers, its search domains. */
export interface Names {
  /**
   * The addresses of a host in the order they should be tried; an address is its own.
   * @param again asks anew, as those that are remembered lead nowhere.
   * @throws what the system's resolver throws, with `code` `ENOTFOUND` or `EAI_AGAIN`; `DNS_TIMEOUT` where it is silent.
   */
  resolve(host: string, again?: boolean): Promise<readonly string[]>;
}

/** The system tells no TTL, and caches by itself where it is set up to: this is for bursts. */
const FRESH_MS = 10_000;
/** RFC 8767: how long what is known stands in where no name server answers, and how long one may think before it does. */
const STALE_MS = 24 * 3_600_000;
const STALE_AFTER_MS = 1_800;
/** A silent name server is left after 5 s by glibc, which then asks the next one. */
const LOOKUP_TIMEOUT_MS = 10_000;
/** A name server that does not answer for AAAA holds up the A that it gave: then those are asked for alone. */
const ONE_FAMILY_AFTER_MS = 1_000;
const MAX_NAMES = 2_000;
/** More are refused: each waits for a thread, of which libuv gives lookups no more than half, so that disks keep theirs. */
const MAX_LOOKUPS = 500;

interface Known {
  readonly addresses: readonly string[];
  readonly at: number;
}

export interface NamesOptions {
  readonly ipv4Only: boolean;
  readonly now: () => number;
  readonly lookup?: SystemLookup;
}

export function createNames({ ipv4Only, now, lookup = systemLookup }: NamesOptions): Names {
  const known = new LRUCache<string, Known>({ max: MAX_NAMES });
  /** One for a name, however many want it: a lookup holds a thread until it is answered. */
  const underWay = new Map<string, Promise<readonly string[]>>();

  function ask(host: string): Promise<readonly string[]> {
    const joined = underWay.get(host);
    if (joined !== undefined) return joined;
    if (underWay.size >= MAX_LOOKUPS)
      return Promise.reject(dnsError('EAI_AGAIN', `too many names are being looked up to ask for ${host}`));
    const asked = (ipv4Only ? lookup(host, 4) : lookupEither(host, lookup)).then((addresses) => {
      known.set(host, { addresses, at: now() });
      return addresses;
    });
    underWay.set(
      host,
      asked.finally(() => underWay.delete(host)),
    );
    const flight = underWay.get(host) ?? asked;
    // whoever waited may be gone, by then it is only remembered
    flight.catch(() => undefined);
    return flight;
  }

  return {
    async resolve(host, again = false) {
      if (isIP(host) !== 0) return [host];
      const name = host.toLowerCase();
      const before = known.get(name);
      const age = before === undefined ? Infinity : now() - before.at;
      if (before !== undefined && age < FRESH_MS && !again) return before.addresses;
      const stale = age < STALE_MS ? before?.addresses : undefined;
      const asked = ask(name);
      try {
        return await within(asked, stale === undefined ? LOOKUP_TIMEOUT_MS : STALE_AFTER_MS, name);
      } catch (thrown) {
        // a name that is gone is gone; one that nobody can tell is what it was
        if (stale === undefined || codeOf(thrown) === 'ENOTFOUND') throw thrown;
        return stale;
      }
    },
  };
}

async function lookupEither(host: string, lookup: SystemLookup): Promise<readonly string[]> {
  const both = lookup(host, 0);
  const first = await settledWithin(both, ONE_FAMILY_AFTER_MS);
  if (first) return both;
  const one = lookup(host, 4);
  return Promise.any([both, one]).catch(() => both);
}

async function within<T>(promise: Promise<T>, milliseconds: number, host: string): Promise<T> {
  if (await settledWithin(promise, milliseconds)) return promise;
  throw dnsError('DNS_TIMEOUT', `no name server told the address of ${host} in ${milliseconds} ms`);
}

function systemLookup(host: string, family: 0 | 4): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { all: true, family, order: 'verbatim' }, (error, found: LookupAddress[]) => {
      if (error !== null) return reject(error);
      if (found.length === 0) return reject(dnsError('ENOTFOUND', `${host} has no address`));
      resolve([...new Set(found.map(({ address }) => address))]);
    });
  });
}

function dnsError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
}
