import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
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
 */
export function refuseRaw(socket: Duplex, error: BreakwaterError): void {
  if (!socket.writable) return void socket.destroy();
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('close', () => clearTimeout(timer));
  socket.resume();
  const body = Buffer.from(ociErrorBody(error));
  const headers = Object.entries(error.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  socket.end(
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}\r\n${headers.join('')}` +
      'Content-Type: application/json; charset=utf-8\r\n' +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body.toString()}`,
  );
}

/**
 * Names what Node's parser says of bytes that are no request.
 * @param answering whether an answer is on its way, which another one would spoil
 */
export function answerClientError(error: Error, socket: Duplex, answering: boolean): void {
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'ECONNRESET' || answering) return void socket.destroy();
  // the parser complains again of what follows what was refused
  if (!socket.writableEnded) refuseRaw(socket, clientError(code, error));
}

function clientError(code: string, cause: Error): BreakwaterError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new BreakwaterError('HEADERS_TOO_LARGE', 'the request headers exceed 128 KB', { cause });
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new BreakwaterError('REQUEST_TIMEOUT', 'the request did not arrive in time', { cause });
  }
  return new BreakwaterError('REQUEST_MALFORMED', `the request is malformed: ${cause.message}`, { cause });
}
