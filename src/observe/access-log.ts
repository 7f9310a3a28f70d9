import type { Exchange } from '../pulls/exchange.ts';

/** Writes one line of JSON for a finished exchange. */
export type AccessLog = (exchange: Exchange) => void;

/** The reference's keys, all strings, then ours. */
export function createAccessLog(write: (line: string) => void, now: () => number): AccessLog {
  return ({ request, response, registry, clientAddress, user, startedAt, outcome }) => {
    const { error } = outcome;
    const line = {
      access_time: new Date(startedAt).toISOString(),
      upstream_cache_status: outcome.cacheStatus ?? '',
      method: request.method ?? '',
      // the query stays out: it may hold credentials
      uri: (request.url ?? '').replace(/\?.*/, ''),
      request_type: outcome.cacheType,
      status: String(response.headersSent ? response.statusCode : 499),
      bytes_sent: String(outcome.bytesSent),
      upstream_response_time: seconds(outcome.upstreamTime),
      host: registry.name,
      proxy_host: outcome.upstream ?? '',
      upstream: outcome.upstream ?? '',
      client: clientAddress,
      duration: seconds(now() - startedAt),
      complete: String(response.writableFinished),
      ...(user === undefined ? {} : { user }),
      ...(outcome.digest === undefined ? {} : { digest: outcome.digest }),
      ...(error === undefined ? {} : { error: error.code, error_message: error.message }),
    };
    write(`${JSON.stringify(line)}\n`);
  };
}

function seconds(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '' : (milliseconds / 1000).toFixed(3);
}
