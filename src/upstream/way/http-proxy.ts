import { request, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { proxyName } from '../../config/proxy-address.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { Hop } from './routes.ts';

/** Asks an HTTP proxy at the other end of a socket for a tunnel (RFC 9110, 9.3.6); the socket is then the tunnel. */
export function tunnelThrough(
  socket: Socket,
  hop: Hop,
  target: string,
  via: string,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const asking = request({
      method: 'CONNECT',
      path: target,
      headers: { Host: target, Via: via, ...proxyLogin(hop) },
      createConnection: () => socket,
      signal,
    });
    asking.on('error', (cause) => {
      socket.destroy();
      if (signal.aborted) return reject(signal.reason);
      reject(proxyError(hop, `broke off: ${cause.message}`, { cause }));
    });
    asking.once('connect', (response, _socket, head) => {
      const { statusCode = 0 } = response;
      if (statusCode >= 200 && statusCode < 300) {
        if (head.length > 0) socket.unshift(head);
        return resolve(socket);
      }
      socket.destroy();
      reject(refusedBy(hop, statusCode, target));
    });
    asking.end();
  });
}

/** The header by which a proxy knows us. */
export function proxyLogin({ proxy: { login } }: Hop): Readonly<Record<string, string>> {
  if (login === undefined) return {};
  const pair = `${login.username}:${login.password.reveal()}`;
  return { 'Proxy-Authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** What a proxy's own refusal means. */
export function refusedBy(hop: Hop, status: number, target: string): BreakwaterError {
  const { setting, proxy } = hop;
  const text = `answered ${status} ${STATUS_CODES[status] ?? ''} for ${target}`;
  // tinyproxy says 401 of a login that is wrong
  if (status === 407 || status === 401) {
    const mend =
      proxy.login === undefined
        ? `It wants a login: write user:password@ before the host in ${setting}.`
        : `It does not take the login in ${setting}: correct the user and the password, with @, : and / as %40, %3A and %2F.`;
    return proxyError(hop, text, { mend });
  }
  if (status === 508) return proxyError(hop, `leads back to this proxy (${text})`, { mend: LOOP_MEND });
  if (status === 403)
    return proxyError(hop, text, { mend: `Have it allow ${target}, or put the host into NO_PROXY.` });
  return proxyError(hop, text);
}

const LOOP_MEND =
  'HTTPS_PROXY and HTTP_PROXY of the proxy itself must not lead to it: unset them, or name the next proxy.';

/** A failure of a proxy on the way; it never holds the login. */
export function proxyError(
  { proxy, setting }: Hop,
  what: string,
  options: { readonly cause?: unknown; readonly mend?: string } = {},
): BreakwaterError {
  return new BreakwaterError('UPSTREAM_PROXY', `the proxy ${proxyName(proxy)} (${setting}) ${what}`, options);
}
