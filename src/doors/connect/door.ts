import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { LeafContexts } from '../../ca/contexts.ts';
import type { Config } from '../../config/config.ts';
import type { RegistryMatcher } from '../../config/registry-pattern.ts';
import type { Refusal } from '../../observe/refusal-log.ts';
import { createExchange, type Exchange } from '../../pulls/exchange.ts';
import type { Pulls } from '../../pulls/pulls.ts';
import { sendError } from '../../pulls/send-error.ts';
import { asBreakwaterError, BreakwaterError, type ErrorCode } from '../../registry/errors.ts';
import { registryHost, type RegistryHost } from '../../registry/registry-host.ts';
import type { Destinations } from '../../upstream/destinations.ts';
import { MAX_HEADER_SIZE } from '../../upstream/transport.ts';
import type { Admission, Client } from '../access/admission.ts';
import type { Peers } from '../peers.ts';
import type { Site } from '../site/site.ts';
import { parseConnectTarget } from './connect-target.ts';
import { createIntercept } from './intercept.ts';
import { clientError, refuse, refuseRaw } from './refuse.ts';
import { checkConnect, checkRequest } from './request-check.ts';
import type { Tunnel } from './tunnel.ts';

/** What one configuration makes of the door; another one is in force after each reload. */
export interface InForce {
  readonly matcher: RegistryMatcher;
  readonly pulls: Pulls;
  /** Undefined where everybody may do everything. */
  readonly admission: Admission | undefined;
  readonly destinations: Destinations;
  readonly tunnel: Tunnel;
}

export interface DoorParts {
  /** Asked once for each request, which ends by what it began with. */
  readonly inForce: () => InForce;
  readonly timeouts: Pick<Config, 'clientHeaderTimeout' | 'keepaliveTimeout' | 'sendTimeout'>;
  readonly contexts: LeafContexts;
  readonly site: Site;
  readonly log: Logger;
  readonly onFinished: (exchange: Exchange) => void;
  /** Told of each connection that becomes a tunnel. */
  readonly onTunnel: (client: Socket) => void;
  /** What stands in the `Via` of all that the proxy sends. */
  readonly via: string;
  /** Whoever is behind a connection that does not tell itself: behind a balancer, or with a certificate. */
  readonly peers: Peers;
  /** Told of what is turned away before it is an exchange. */
  readonly onRefused: (refusal: Refusal) => void;
  readonly now: () => number;
}

/** The host by which clients can reach the proxy itself through the proxy. */
const SELF = 'docker.caching.proxy.internal';

/** What somebody was turned away for, which the access log tells. */
const NOT_ADMITTED = new Set<ErrorCode>(['ACCESS_DENIED', 'LOGIN_REQUIRED', 'LOGIN_BUSY', 'TUNNEL_REFUSED']);

/** What is known of a connection that came in through a CONNECT. */
interface Intercepted {
  readonly registry: RegistryHost;
  readonly client: Client;
  /** What was in force when it came in. */
  readonly under: InForce;
}

/**
 * The server of the proxy port: CONNECT is intercepted or tunnelled; requests are those of intercepted
 * registries, absolute-form ones for plain-HTTP hosts, or the site's own. Intercepted connections join the
 * same server, so that its timeouts and its draining hold for them too.
 */
export function createDoor(parts: DoorParts): Server {
  const { inForce, timeouts, site, log, onFinished, peers, now } = parts;
  const intercept = createIntercept(parts.contexts, timeouts.clientHeaderTimeout, log);
  const intercepted = new WeakMap<Socket, Intercepted>();
  /** The newest answer of each connection; when it is finished, all before it are. */
  const answers = new WeakMap<Duplex, ServerResponse>();
  /** Connections on which nothing more is listened to: what follows may be the rest of what was refused. */
  const deaf = new WeakSet<Duplex>();

  const server = createServer({
    maxHeaderSize: MAX_HEADER_SIZE,
    headersTimeout: timeouts.clientHeaderTimeout,
    keepAliveTimeout: timeouts.keepaliveTimeout,
    requestTimeout: 0, // a push may take hours; CLIENT_BODY_TIMEOUT is between two reads
    connectionsCheckingInterval: 5_000,
    noDelay: true,
    keepAlive: true,
    requireHostHeader: false, // Node would answer, and take what follows for another request
  });
  server.timeout = timeouts.sendTimeout;

  function exchangeOf(
    request: IncomingMessage,
    response: ServerResponse,
    via: Omit<Intercepted, 'under'>,
  ): Exchange {
    const exchange = createExchange(request, response, via.registry, via.client, now());
    response.once('close', () => onFinished(exchange));
    return exchange;
  }

  /** Who sends a request to the proxy itself, or through it. */
  function senderOf(socket: Socket): Client {
    return peers.get(socket) ?? { address: socket.remoteAddress ?? '', user: undefined };
  }

  /** @param through the URL of a request that names the host it is for. */
  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    through: URL | undefined,
  ): Promise<void> {
    const via = intercepted.get(request.socket);
    if (via !== undefined && via.registry.host !== SELF)
      return serve(exchangeOf(request, response, via), via);
    if (via !== undefined) return site(request, response);
    if (through !== undefined) return answerThrough(request, response, through);
    inForce().admission?.admitAddress(senderOf(request.socket).address);
    return site(request, response);
  }

  /** Answers a request that names the host it is for, as plain HTTP goes through a proxy. */
  async function answerThrough(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    refuseLoop(request);
    request.url = url.pathname + url.search;
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = Number(url.port || 80);
    const under = inForce();
    const { admission } = under;
    const scheme = under.matcher.schemeFor(host, port);
    const registry = registryHost(host, port, scheme ?? 'http');
    let client = senderOf(request.socket);
    try {
      if (admission !== undefined) {
        client = await admission.identify(client, request.headers['proxy-authorization']);
        admission.admit(client, registry.name, scheme === undefined ? 'other' : 'registry');
      }
      if (scheme === undefined) under.destinations.ofClients(host, port);
    } catch (thrown) {
      return sendError(exchangeOf(request, response, { registry, client }), asBreakwaterError(thrown));
    }
    const via = { registry, client, under };
    const exchange = exchangeOf(request, response, via);
    return scheme === undefined ? under.pulls.forward(exchange) : serve(exchange, via);
  }

  async function serve(exchange: Exchange, { client, registry, under }: Intercepted): Promise<void> {
    const current = inForce();
    const { admission, pulls } = current;
    // what was decided when the connection came in, such as how the registry is spoken to, is decided on the next one
    if (current !== under) exchange.response.shouldKeepAlive = false;
    if (admission !== undefined) {
      const { method = 'GET', url = '/' } = exchange.request;
      try {
        if (current !== under) admission.admitAgain(client, registry.name);
        admission.judge(client, registry.name, method, url);
      } catch (thrown) {
        return sendError(exchange, asBreakwaterError(thrown));
      }
    }
    return pulls.serve(exchange);
  }

  /** What we sent came back: each turn would send it once more. */
  function refuseLoop({ headers: { via = '' } }: IncomingMessage): void {
    if (!via.includes(parts.via)) return;
    throw new BreakwaterError('PROXY_LOOP', 'this proxy is asked by itself', {
      mend: 'Unset HTTPS_PROXY and HTTP_PROXY of the proxy, or have them name another one.',
    });
  }

  async function enter(request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    checkConnect(request);
    refuseLoop(request);
    if (intercepted.has(client))
      throw new BreakwaterError('METHOD_NOT_ALLOWED', 'CONNECT inside an intercepted connection');
    const target = parseConnectTarget(request.url ?? '');
    const under = inForce();
    const { admission } = under;
    const scheme = under.matcher.schemeFor(target.host, target.port);
    const registry = registryHost(target.host, target.port, scheme);
    let sender = senderOf(client);
    if (admission !== undefined) {
      sender = await admission.identify(sender, request.headers['proxy-authorization']);
      peers.set(client, sender);
      if (target.host !== SELF)
        admission.admit(sender, registry.name, scheme === undefined ? 'other' : 'registry');
    }
    if (scheme === undefined) {
      parts.onTunnel(client);
      return under.tunnel(client, head, target);
    }
    await intercept(client, sender.address, head, target.host, (secure) => {
      intercepted.set(secure, { registry, client: sender, under });
      server.emit('connection', secure);
    });
  }

  function onRefused(request: IncomingMessage, socket: Socket, error: BreakwaterError): void {
    // what stands before an @ may be a password
    const uri = (request.url ?? '').replace(/^.*@/s, '');
    const { address, user } = senderOf(socket);
    const method = request.method ?? '';
    const host = method === 'CONNECT' ? uri.replace(/:443$/, '') : '';
    parts.onRefused({ at: now(), method, uri, host, clientAddress: address, user: user?.name, error });
  }

  /** Ends a connection and says why, in place of `response` where one is due; where it may not, without a word. */
  function end(socket: Duplex, error: BreakwaterError, response: ServerResponse | undefined): void {
    deaf.add(socket);
    if (response === undefined || (response.socket === socket && !response.headersSent))
      refuseRaw(socket, error, response?.req.method);
    else socket.destroy();
  }

  server.on('request', (request, response) => {
    const { socket } = request;
    if (deaf.has(socket)) return void request.resume();
    let through: URL | undefined;
    try {
      // at once: when it returns, the parser goes on to what follows
      through = checkRequest(request, intercepted.has(socket));
    } catch (thrown) {
      return end(socket, asBreakwaterError(thrown), response);
    }
    answers.set(socket, response);
    answer(request, response, through).catch((thrown: unknown) => {
      const error = asBreakwaterError(thrown);
      if (NOT_ADMITTED.has(error.code)) onRefused(request, socket, error);
      refuse(request, response, error);
    });
  });
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // who is refused may send its body or not: what would follow on the connection cannot be told
    response.shouldKeepAlive = false;
    server.emit('request', request, response);
  });
  server.on('connect', (request: IncomingMessage, client: Socket, head: Buffer) => {
    client.on('error', () => client.destroy()); // a client that resets is gone, and nothing is lost
    if (deaf.has(client)) {
      client.resume();
      return;
    }
    // an answer that is due would come out of the tunnel
    if (answers.get(client)?.writableFinished === false) {
      client.destroy();
      return;
    }
    client.setTimeout(0);
    enter(request, client, head).catch((thrown: unknown) => {
      const error = asBreakwaterError(thrown);
      if (NOT_ADMITTED.has(error.code)) onRefused(request, client, error);
      else {
        const { address } = senderOf(client);
        log.info({ client: address, code: error.code, reason: error.message }, 'connect refused');
      }
      refuseRaw(client, error);
    });
  });
  server.on('clientError', (error, socket) => {
    if (deaf.has(socket)) return;
    const last = answers.get(socket);
    if (last === undefined || (last.writableFinished && last.req.complete))
      return end(socket, clientError(error), undefined);
    // junk after a request whose answer is due; else it is that request's own body
    if (last.req.complete) socket.destroy();
    else end(socket, clientError(error), last);
  });
  server.on('timeout', (socket: Socket) => {
    const last = answers.get(socket);
    const isIdle = last?.writableFinished === true;
    // a client is cut for what it does not take, not for what it waits for
    if (isIdle || socket.writableLength > 0) socket.destroy();
    else socket.setTimeout(timeouts.sendTimeout);
  });
  return server;
}
