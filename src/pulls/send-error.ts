import { ociErrorBody, type BreakwaterError } from '../registry/errors.ts';
import { UpstreamRefusal } from '../upstream/refusal.ts';
import { cacheHeaders, type Exchange } from './exchange.ts';

/** Answers with an OCI error body, or cuts the answer where one has begun: a client must never see it as whole. */
export function sendError(exchange: Exchange, error: BreakwaterError): void {
  exchange.outcome.error = error;
  const body = error instanceof UpstreamRefusal ? error.body : Buffer.from(ociErrorBody(error));
  sendWhole(
    exchange,
    error.status,
    { 'Content-Type': 'application/json; charset=utf-8', ...error.headers },
    body,
  );
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
