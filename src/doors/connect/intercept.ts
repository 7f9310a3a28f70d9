import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { LeafContexts } from '../../ca/contexts.ts';

/** Speaks TLS with a client in a registry's name; `address` is whose the connection is. */
export type Intercept = (
  client: Socket,
  address: string,
  head: Buffer,
  host: string,
  onSecure: (secure: TLSSocket) => void,
) => Promise<void>;

/** What clients say of a certificate that they do not trust (RFC 8446, 6.2), as OpenSSL names it. */
const DISTRUST = /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNSUPPORTED_CERTIFICATE)/;
const REMEMBERED_CLIENTS = 10_000;

/** @param handshakeTimeout milliseconds from CONNECT to the end of the handshake. */
export function createIntercept(contexts: LeafContexts, handshakeTimeout: number, log: Logger): Intercept {
  const told = new LRUCache<string, true>({ max: REMEMBERED_CLIENTS });

  function onFailure(error: Error, address: string, host: string): void {
    const code = 'code' in error ? String(error.code) : '';
    if (!DISTRUST.test(code) || told.has(address)) {
      log.debug({ client: address, host, reason: error.message }, 'tls handshake failed');
      return;
    }
    told.set(address, true);
    log.warn(
      { client: address, host },
      "client does not trust the proxy's CA: install /ca.crt on it as a trusted root (said once per client)",
    );
  }

  return async (client, address, head, host, onSecure) => {
    const context = contexts.contextFor(host);
    const secureContext = context instanceof Promise ? await context : context;
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (head.length > 0) client.unshift(head);
    // over the raw socket: through a stream in between, TLS costs twice the CPU
    const secure = new TLSSocket(client, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] });
    // inherited from the raw socket; a client that ends its side now is gone
    secure.allowHalfOpen = false;
    const timer = setTimeout(() => secure.destroy(), handshakeTimeout);
    const onError = (error: Error): void => {
      onFailure(error, address, host);
      secure.destroy();
    };
    secure.on('error', onError);
    secure.once('close', () => clearTimeout(timer));
    secure.once('secure', () => {
      clearTimeout(timer);
      secure.off('error', onError);
      onSecure(secure);
    });
  };
}
