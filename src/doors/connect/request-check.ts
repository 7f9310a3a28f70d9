import type { IncomingMessage } from 'node:http';
import { BreakwaterError } from '../../registry/errors.ts';

/** A host and perhaps a port, as far as a Host header is looked at (RFC 9110 section 7.2). */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\da-f:.%\w-]+\])(?::\d*)?$/i;

/**
 * Refuses what Node's parser lets through and another server may read otherwise: a request that ends elsewhere for the
 * next hop than it does here is two requests. What the parser refuses itself is a `clientError`.
 * Gives the URL of a request that names the host it is for.
 * @param tunnelled whether it came through a CONNECT: there it names a path alone, as the host is the tunnel's.
 * @throws `REQUEST_MALFORMED`.
 */
export function checkRequest(request: IncomingMessage, tunnelled: boolean): URL | undefined {
  const { httpVersion, rawHeaders, url: target = '/' } = request;
  checkLength(request);
  const host = hostOf(rawHeaders);
  if (host === undefined && httpVersion === '1.1') throw malformed('there is no Host');
  if (target.startsWith('/')) return undefined;
  if (tunnelled) throw malformed('its target is no path');
  return parseAbsoluteForm(target, host);
}

/**
 * The same for a CONNECT, which has no body (RFC 9110 section 9.3.6); not all clients send a Host with it.
 * @throws `REQUEST_MALFORMED`.
 */
export function checkConnect(request: IncomingMessage): void {
  checkLength(request);
  hostOf(request.rawHeaders);
  const { 'transfer-encoding': coding, 'content-length': length = '0' } = request.headers;
  if (coding !== undefined || Number(length) !== 0) throw malformed('a CONNECT has no body');
}

/** That it is known where the request ends (RFC 9112 section 6.3). */
function checkLength({ httpVersion, headers }: IncomingMessage): void {
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    throw malformed(`HTTP/${httpVersion} is not spoken here`);
  const { 'transfer-encoding': coding, 'content-length': length } = headers;
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw malformed('no Transfer-Encoding but chunked is understood');
  if (coding !== undefined && httpVersion === '1.0') throw malformed('HTTP/1.0 has no Transfer-Encoding');
  if (length !== undefined && !Number.isSafeInteger(Number(length)))
    throw malformed('the Content-Length is larger than can be counted');
}

/** The one Host (RFC 9112 section 3.2). */
function hostOf(rawHeaders: readonly string[]): string | undefined {
  let host: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.length !== 4 || rawHeaders[at]?.toLowerCase() !== 'host') continue;
    const value = rawHeaders[at + 1] ?? '';
    if (host !== undefined) throw malformed('there is more than one Host');
    if (!HOST.test(value)) throw malformed('the Host is none');
    host = value;
  }
  return host;
}

function parseAbsoluteForm(target: string, host: string | undefined): URL {
  const url = URL.canParse(target) ? new URL(target) : undefined;
  if (url?.protocol !== 'http:')
    throw malformed('a proxy request needs an http:// URL; https goes through CONNECT');
  // RFC 9110 section 4.2.4
  if (url.username !== '' || url.password !== '') throw malformed('a user or password in the URL');
  if (host !== undefined && hostOfUrl(`http://${host}/`) !== url.host)
    throw malformed('the Host is another than that of the URL');
  return url;
}

function hostOfUrl(text: string): string | undefined {
  return URL.canParse(text) ? new URL(text).host : undefined;
}

function malformed(reason: string): BreakwaterError {
  return new BreakwaterError('REQUEST_MALFORMED', `the request is malformed: ${reason}`);
}
