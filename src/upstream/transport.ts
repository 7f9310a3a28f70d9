import type { Socket } from 'node:net';
import { Agent, type buildConnector, type Dispatcher } from 'undici';
import { proxyName } from '../config/proxy-address.ts';
import { BreakwaterError } from '../registry/errors.ts';
import { acceptBareLf } from './bare-lf.ts';
import type { Destinations } from './destinations.ts';
import { upstreamFailure } from './failure.ts';
import { startSending } from './sending.ts';
import type { TlsProfiles } from './tls/profiles.ts';
import { secure } from './tls/secure.ts';
import { createClock, type Dialer } from './way/dialer.ts';
import { proxyLogin, refusedBy } from './way/http-proxy.ts';
import type { Hop } from './way/routes.ts';

/** Google Artifact Registry sends 21 KB of headers; Node's own limit is 16. */
export const MAX_HEADER_SIZE = 128 * 1024;
/** Requests to one origin under way at once; more wait in its queue, none fails. */
const CONNECTIONS_PER_ORIGIN = 128;

export interface TransportOptions {
  readonly dialer: Dialer;
  readonly tls: TlsProfiles;
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

export function createTransport(options: TransportOptions): Transport {
  const { dialer, tls, destinations, connectTimeout } = options;
  const closing = new AbortController();
  const common = {
    allowH2: false,
    connections: CONNECTIONS_PER_ORIGIN,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_SIZE,
    keepAliveTimeout: 30_000,
    headersTimeout: options.readTimeout,
    // its clock stops under back-pressure, so whoever reads the body watches over it
    bodyTimeout: 0,
  } as const;

  /** The time of one connection, with TLS and all proxies on the way. */
  const newClock = (): ReturnType<typeof createClock> =>
    createClock(
      connectTimeout,
      () =>
        Object.assign(new Error(`no connection in ${connectTimeout} ms, at none of its addresses`), {
          code: 'ETIMEDOUT',
        }),
      closing.signal,
    );

  async function connectTo({ hostname, port: written, protocol }: Place): Promise<Socket> {
    const traffic = protocol === 'http:' ? 'http' : 'https';
    const host = bareHost(hostname);
    const port = portOf(written, protocol);
    const check = destinations.ofRegistries(host, port);
    using clock = newClock();
    const socket = await dialer.dial({ traffic, host, port, check, clock });
    return traffic === 'http' ? socket : await secure(socket, tls.profileFor(host, port), clock.signal);
  }

  const agent = new Agent({
    ...common,
    connect: acceptBareLf((target, callback) => void tell(connectTo(target), callback)),
  });

  /** Through an HTTP proxy plain HTTP goes as requests for whole URLs, to agents whose only origin is the proxy. */
  const forwarders = new Map<string, Agent>();
  function forwarderFor(hop: Hop): Agent {
    const key = `${hop.setting} ${proxyName(hop.proxy)} ${hop.proxy.scheme}`;
    let forwarder = forwarders.get(key);
    if (forwarder === undefined) {
      forwarder = new Agent({
        ...common,
        connect: acceptBareLf((_target, callback) => {
          async function connectToProxy(): Promise<Socket> {
            using clock = newClock();
            return await dialer.dialProxy(hop, clock);
          }
          void tell(connectToProxy(), callback);
        }),
      });
      forwarders.set(key, forwarder);
    }
    return forwarder;
  }

  /** Where a request goes first, and what it says there beside what it would say anyway. */
  async function firstStop(url: URL): Promise<FirstStop> {
    const direct = {
      agent,
      origin: url.origin,
      path: url.pathname + url.search,
      headers: {},
      hop: undefined,
    };
    if (url.protocol !== 'http:') return direct;
    const host = bareHost(url.hostname);
    const port = portOf(url.port, url.protocol);
    const hop = dialer.routes('http', host, port);
    if (hop === undefined || hop.proxy.scheme === 'socks5') return direct;
    await dialer.checkBeyondProxy(host, destinations.ofRegistries(host, port));
    return {
      agent: forwarderFor(hop),
      // what the connection is made of is the agent's business: TLS is in it already
      origin: `http://${proxyName(hop.proxy)}`,
      path: `${url.origin}${url.pathname}${url.search}`,
      headers: { host: url.host, via: dialer.via, ...proxyLogin(hop) },
      hop,
    };
  }

  return {
    async send({ url, method, headers, body, upload, signal }) {
      const { sendTimeout, readTimeout } = options;
      const sending = upload && startSending(upload, { host: url.host, sendTimeout, readTimeout, signal });
      try {
        const { agent: first, origin, path, headers: further, hop } = await firstStop(url);
        const answer = await first.request({
          origin,
          path,
          method,
          headers: { ...headers, ...further },
          body: sending?.body ?? body ?? null,
          signal: sending?.signal ?? signal ?? null,
          // its clock would run while the client is waited for
          ...(sending === undefined ? {} : { headersTimeout: 0 }),
        });
        // whoever reads the body is told of its break; one that is dropped has nobody to tell
        answer.body.on('error', () => undefined);
        if (hop !== undefined && OF_A_PROXY.has(answer.statusCode)) {
          await answer.body.dump();
          throw refusedBy(hop, answer.statusCode, url.host);
        }
        return { status: answer.statusCode, headers: answer.headers, body: answer.body };
      } catch (thrown) {
        throw upstreamFailure(thrown, url.host);
      } finally {
        sending?.answered();
      }
    },
    async close() {
      closing.abort(new BreakwaterError('SHUTTING_DOWN', 'the proxy is stopping'));
      await Promise.all([agent, ...forwarders.values()].map((each) => each.destroy()));
    },
  };
}

/** What no registry answers: a login at the proxy is wanted, or the request came back to us. */
const OF_A_PROXY: ReadonlySet<number> = new Set([407, 508]);

interface FirstStop {
  readonly agent: Agent;
  readonly origin: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly hop: Hop | undefined;
}

interface Place {
  readonly hostname: string;
  readonly port: string;
  readonly protocol: string;
}

function portOf(port: string, protocol: string): number {
  return Number(port || (protocol === 'http:' ? 80 : 443));
}

/** A URL has an IPv6 address in brackets. */
function bareHost(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** Makes a connection as undici wants one made. */
async function tell(connecting: Promise<Socket>, callback: buildConnector.Callback): Promise<void> {
  let socket: Socket;
  try {
    socket = await connecting;
  } catch (thrown) {
    return callback(thrown instanceof Error ? thrown : new Error(String(thrown)), null);
  }
  socket.setKeepAlive(true, 60_000);
  callback(null, socket);
}
