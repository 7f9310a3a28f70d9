import { ociErrorBody, type BreakwaterError } from '../registry/errors.ts';
import { UpstreamRefusal } from '../upstream/refusal.ts';
import { cacheHeaders, type Exchange } from './exchange.ts';

/** Answers with an OCI error body, or cuts the answer where one has begun: a client must never see it as whole. */
export function sendError(exchange: Exchange, error: BreakwaterError): void {
  exchange.outcome.error = error;
  const type = { 'content-type': 'application/json; charset=utf-8' };
  if (error instanceof UpstreamRefusal && error.body.length > 0) {
    return sendWhole(exchange, error.status, { ...type, ...error.headers }, error.body);
  }
  sendWhole(exchange, error.status, { ...error.headers, ...type }, Buffer.from(ociErrorBody(error)));
}

/** Sends a small body at once. */
export function sendWhole(
  exchange: Exchange,
  status: number,
  headers: Record<string, string | string[] | number | undefined>,
  body: Buffer,
): void {
  const { request, response, outcome } = exchange;
  if (response.headersSent) return void response.destroy();
  const given = Object.entries(headers).filter(
    (entry): entry is [string, string | string[] | number] => entry[1] !== undefined,
  );
  response.writeHead(status, {
    ...Object.fromEntries(given),
    'Content-Length': body.length,
    ...cacheHeaders(exchange),
  });
  if (request.method === 'HEAD') return void response.end();
  outcome.bytesSent = body.length;
  response.end(body);
}
