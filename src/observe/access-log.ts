import type { Exchange } from '../pulls/exchange.ts';
import { traceOf } from '../registry/trace.ts';

/** Writes one line of JSON for a finished exchange. */
export type AccessLog = (exchange: Exchange) => void;

/** The reference's keys, all strings, then ours. */
export function createAccessLog(write: (line: string) => void, now: () => number): AccessLog {
  return ({ request, response, registry, clientAddress, user, startedAt, outcome }) => {
    const { error } = outcome;
    const upstream = outcome.upstream ?? '';
    const line: Record<string, string> = {
      access_time: new Date(startedAt).toISOString(),
      upstream_cache_status: outcome.cacheStatus ?? '',
      method: request.method ?? '',
      uri: pathOf(request.url ?? ''),
      request_type: outcome.cacheType,
      status: String(response.headersSent ? response.statusCode : 499),
      bytes_sent: String(outcome.bytesSent),
      upstream_response_time: seconds(outcome.upstreamTime),
      host: registry.name,
      proxy_host: upstream,
      upstream,
      client: clientAddress,
      duration: seconds(now() - startedAt),
      complete: String(response.writableFinished),
    };
    if (user !== undefined) line['user'] = user;
    if (outcome.digest !== undefined) line['digest'] = outcome.digest;
    if (error !== undefined) {
      line['error'] = error.code;
      line['error_message'] = error.message;
      if (error.code === 'INTERNAL') line['error_trace'] = traceOf(error.cause);
    }
    write(`${JSON.stringify(line)}\n`);
  };
}

/** The query stays out: it may hold credentials. */
function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

function seconds(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '' : (milliseconds / 1000).toFixed(3);
}
