import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { acceptBareLf } from './bare-lf.ts';
import { checkedLookup, checkLiteral, type Destinations } from './destinations.ts';
import { upstreamFailure } from './failure.ts';
import { startSending } from './sending.ts';

/** Google Artifact Registry sends 21 KB of headers; Node's own limit is 16. */
export const MAX_HEADER_SIZE = 128 * 1024;
/** Requests to one origin under way at once; more wait in its queue, none fails. */
const CONNECTIONS_PER_ORIGIN = 128;
/** Hosts beside the registries, such as their CDNs, whose TLS sessions are remembered. */
const CHECKED_ORIGINS = 500;

/** Addresses of a host that are tried before the time for its connection is over. */
const MAX_ADDRESSES = 16;
/** The least time for one of them, as in Node. */
const MIN_ATTEMPT_MS = 250;

export interface TransportOptions {
  /** Holds what chains are checked against. */
  readonly secureContext: SecureContext;
  readonly verify: boolean;
  readonly ipv4Only: boolean;
  readonly destinations: Destinations;
  /** Milliseconds to a connection, and to the first header. */
  readonly connectTimeout: number;
  readonly readTimeout: number;
  /** Milliseconds in which some of a request's body must be taken. */
  readonly sendTimeout: number;
}

export interface TransportRequest {
  readonly url: URL;
  readonly method: Dispatcher.HttpMethod;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body?: Dispatcher.DispatchOptions['body'];
  /** A body that is as long as it is: it is taken as upstream takes it, and watched over. */
  readonly upload?: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

/** One answer from one host; its body must be read to the end or destroyed. */
export interface TransportAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Dispatcher.ResponseData['body'];
}

/** Sends single requests: no redirect is followed, no challenge answered, nothing tried again. */
export interface Transport {
  /** @throws `UPSTREAM_*` naming the host. */
  send(request: TransportRequest): Promise<TransportAnswer>;
  close(): Promise<void>;
}

/** As all of a host's addresses are wanted: asked for a family Node tries but the first one. */
const lookupIpv4: LookupFunction = (host, options, callback) =>
  lookup(host, { ...options, family: 4 }, callback);

export function createTransport(options: TransportOptions): Transport {
  const agent = new Agent({
    allowH2: false,
    connections: CONNECTIONS_PER_ORIGIN,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_SIZE,
    keepAliveTimeout: 30_000,
    headersTimeout: options.readTimeout,
    // its clock stops under back-pressure, so whoever reads the body watches over it
    bodyTimeout: 0,
    connect: guardedConnector(
      options.destinations,
      {
        allowH2: false,
        secureContext: options.secureContext,
        rejectUnauthorized: options.verify,
        timeout: options.connectTimeout,
        // one address after the other, each with its share of the time; the last one with all that is left
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: Math.max(
          MIN_ATTEMPT_MS,
          Math.floor(options.connectTimeout / MAX_ADDRESSES),
        ),
      },
      options.ipv4Only ? lookupIpv4 : lookup,
    ),
  });
  return {
    async send({ url, method, headers, body, upload, signal }) {
      const { sendTimeout, readTimeout } = options;
      const sending = upload && startSending(upload, { host: url.host, sendTimeout, readTimeout, signal });
      try {
        const answer = await agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method,
          headers: { ...headers },
          body: sending?.body ?? body ?? null,
          signal: sending?.signal ?? signal ?? null,
          // its clock would run while the client is waited for
          ...(sending === undefined ? {} : { headersTimeout: 0 }),
        });
        // whoever reads the body is told of its break; one that is dropped has nobody to tell
        answer.body.on('error', () => undefined);
        return { status: answer.statusCode, headers: answer.headers, body: answer.body };
      } catch (thrown) {
        throw upstreamFailure(thrown, url.host);
      } finally {
        sending?.answered();
      }
    },
    close: () => agent.destroy(),
  };
}

/** Makes connections, each to an address that was checked where its host is not one that the configuration names. */
function guardedConnector(
  destinations: Destinations,
  options: buildConnector.BuildOptions,
  resolve: LookupFunction,
): buildConnector.connector {
  const connect = acceptBareLf(buildConnector({ ...options, lookup: resolve }));
  // one each, as the check is one of host and port and a connector keeps the TLS sessions
  const checked = new LRUCache<string, buildConnector.connector>({ max: CHECKED_ORIGINS });
  return (target, callback) => {
    const { hostname } = target;
    const port = Number(target.port || (target.protocol === 'http:' ? 80 : 443));
    const check = destinations.ofRegistries(hostname, port);
    if (check === undefined) return connect(target, callback);
    const refusal = checkLiteral(hostname, check);
    if (refusal !== undefined) return callback(refusal, null);
    const key = `${hostname}:${port}`;
    const connector =
      checked.get(key) ?? acceptBareLf(buildConnector({ ...options, lookup: checkedLookup(check, resolve) }));
    checked.set(key, connector);
    connector(target, callback);
  };
}
