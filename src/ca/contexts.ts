import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import type { Authority } from './authority.ts';
import { parseHostName } from './host-name.ts';
import { mintLeaf, type Leaf } from './leaf.ts';

/** TLS contexts by host name, each with a leaf of the authority. */
export interface LeafContexts {
  /**
   * The context to answer a handshake for `host` with; no promise where one is at hand.
   * @throws `CONNECT_TARGET_INVALID` at once for what is no host; rejects with `CA_UNUSABLE` once the authority expired
   */
  readonly contextFor: (host: string) => SecureContext | Promise<SecureContext>;
}

interface LeafContextsOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Hosts kept; the one not asked for longest goes first. 1000 where absent. */
  readonly max?: number;
}

interface Entry {
  readonly context: SecureContext;
  readonly notBefore: number;
  readonly renewAt: number;
  readonly notAfter: number;
}

/**
 * AES-128-GCM first: the cheapest where the CPU has AES, and this is bulk traffic.
 * TLS 1.2 needs only ECDSA suites, as all leaves have P-256 keys.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
].join(':');

/**
 * Keeps a context a host and renews it in time, without a timer: dates are looked at when it is asked for.
 * One with less than a third of its life left is still served while its successor is made.
 */
export function createLeafContexts(authority: Authority, options: LeafContextsOptions = {}): LeafContexts {
  const now = options.now ?? Date.now;
  const entries = new LRUCache<string, Entry>({ max: options.max ?? 1000 });
  const pending = new Map<string, Promise<SecureContext>>();

  async function make(host: string): Promise<SecureContext> {
    try {
      const mintedAt = now();
      const leaf = await mintLeaf(authority, host, mintedAt);
      const context = leafContext(leaf, authority);
      entries.set(host, {
        context,
        notBefore: leaf.notBefore.getTime(),
        renewAt: renewalTime(leaf, authority, mintedAt),
        notAfter: leaf.notAfter.getTime(),
      });
      return context;
    } finally {
      pending.delete(host);
    }
  }

  function makeOnce(host: string): Promise<SecureContext> {
    const running = pending.get(host);
    if (running !== undefined) return running;
    const promise = make(host);
    pending.set(host, promise);
    return promise;
  }

  return {
    contextFor(host) {
      // Names mostly come in their one spelling; only a miss pays for parsing.
      const known = entries.get(host);
      const name = known === undefined ? parseHostName(host).text : host;
      const entry = known ?? entries.get(name);
      const time = now();
      // A clock that was set back can make a leaf begin in the future.
      if (entry === undefined || time >= entry.notAfter || time < entry.notBefore) return makeOnce(name);
      // A failed renewal harms nobody yet: the next use tries again.
      if (time >= entry.renewAt) makeOnce(name).catch(() => undefined);
      return entry.context;
    },
  };
}

/** When a third of the life is left; never for a leaf that ends with its authority, as no successor lasts longer. */
function renewalTime(leaf: Leaf, authority: Authority, mintedAt: number): number {
  const end = leaf.notAfter.getTime();
  if (end === authority.notAfter.getTime()) return Infinity;
  return end - (end - mintedAt) / 3;
}

function leafContext(leaf: Leaf, authority: Authority): SecureContext {
  return createSecureContext({
    key: leaf.keyPem,
    cert: leaf.certificatePem + authority.chainPem,
    // No client certificates are asked for, so the public roots need not be loaded.
    ca: [],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    // A client without AES in hardware puts ChaCha20 first, and then gets it.
    // clients make a context a connection and never come back with a ticket; two of them cost a tenth of a handshake
    secureOptions: constants.SSL_OP_PRIORITIZE_CHACHA | constants.SSL_OP_NO_TICKET,
  });
}
