import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { BreakwaterError, ociErrorBody } from '../../registry/errors.ts';

/** Answers a request that belongs to no exchange with an OCI error body. */
export function refuse(request: IncomingMessage, response: ServerResponse, error: BreakwaterError): void {
  if (response.headersSent) return void response.destroy();
  const body = Buffer.from(ociErrorBody(error));
  response.writeHead(error.status, {
    ...error.headers,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': body.length,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** How long a refused client may take to read its answer, in milliseconds. */
const LINGER = 5_000;

/**
 * Answers on a socket where no response object exists, and ends it. What the client still sends is read and
 * thrown away: to close before would reset the connection, and the answer might be lost (RFC 9112, 9.6).
 * @param method of the request that is answered; HEAD has no body.
 */
export function refuseRaw(socket: Duplex, error: BreakwaterError, method?: string): void {
  if (!socket.writable) return void socket.destroy();
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('close', () => clearTimeout(timer));
  socket.resume();
  socket.end(rawAnswer(error, method));
}

/** Answers and ends a connection without waiting for what its client sends: there is no room for it. */
export function refuseAtOnce(socket: Socket, error: BreakwaterError): void {
  socket.write(rawAnswer(error));
  socket.destroySoon();
}

function rawAnswer(error: BreakwaterError, method?: string): string {
  const body = ociErrorBody(error);
  const headers = Object.entries(error.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  return (
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}\r\n${headers.join('')}` +
    'Content-Type: application/json; charset=utf-8\r\n' +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${method === 'HEAD' ? '' : body}`
  );
}

/** Names what Node's parser says of bytes that are no request. */
export function clientError(cause: Error): BreakwaterError {
  const code = 'code' in cause ? String(cause.code) : '';
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new BreakwaterError('HEADERS_TOO_LARGE', 'the request headers exceed 128 KB or 1000 lines', {
      cause,
    });
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new BreakwaterError('REQUEST_TIMEOUT', 'the request did not arrive in time', { cause });
  }
  return new BreakwaterError('REQUEST_MALFORMED', `the request is malformed: ${cause.message}`, { cause });
}
