import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { LeafContexts } from '../../ca/contexts.ts';
import type { Config } from '../../config/config.ts';
import type { RegistryMatcher } from '../../config/registry-pattern.ts';
import { createExchange, type Exchange } from '../../pulls/exchange.ts';
import type { Pulls } from '../../pulls/pulls.ts';
import { asBreakwaterError, BreakwaterError } from '../../registry/errors.ts';
import { registryHost, type RegistryHost } from '../../registry/registry-host.ts';
import { MAX_HEADER_SIZE } from '../../upstream/transport.ts';
import type { Site } from '../site/site.ts';
import { parseConnectTarget } from './connect-target.ts';
import { createIntercept } from './intercept.ts';
import { answerClientError, refuse, refuseRaw } from './refuse.ts';
import { createTunnel } from './tunnel.ts';

export interface DoorParts {
  readonly config: Config;
  readonly contexts: LeafContexts;
  readonly matcher: RegistryMatcher;
  readonly pulls: Pulls;
  readonly site: Site;
  readonly log: Logger;
  readonly onFinished: (exchange: Exchange) => void;
  /** Told of each connection that becomes a tunnel. */
  readonly onTunnel: (client: Socket) => void;
  readonly now: () => number;
}

/** The host by which clients can reach the proxy itself through the proxy. */
const SELF = 'docker.caching.proxy.internal';

/** What is known of a connection that came in through a CONNECT. */
interface Intercepted {
  readonly registry: RegistryHost;
  readonly clientAddress: string;
}

/**
 * The server of the proxy port: CONNECT is intercepted or tunnelled; requests are those of intercepted
 * registries, absolute-form ones for plain-HTTP hosts, or the site's own. Intercepted connections join the
 * same server, so that its timeouts and its draining hold for them too.
 */
export function createDoor(parts: DoorParts): Server {
  const { config, matcher, pulls, site, log, onFinished, now } = parts;
  const intercept = createIntercept(parts.contexts, config.clientHeaderTimeout, log);
  const tunnel = createTunnel(config);
  const intercepted = new WeakMap<Socket, Intercepted>();
  /** The newest answer of each connection; when it is finished, all before it are. */
  const answers = new WeakMap<Duplex, ServerResponse>();

  const server = createServer({
    maxHeaderSize: MAX_HEADER_SIZE,
    headersTimeout: config.clientHeaderTimeout,
    keepAliveTimeout: config.keepaliveTimeout,
    requestTimeout: 0, // a push may take hours; CLIENT_BODY_TIMEOUT is between two reads
    connectionsCheckingInterval: 5_000,
    noDelay: true,
    keepAlive: true,
  });

  function exchangeOf(request: IncomingMessage, response: ServerResponse, via: Intercepted): Exchange {
    const exchange = createExchange(request, response, via.registry, via.clientAddress, now());
    response.once('close', () => onFinished(exchange));
    return exchange;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const via = intercepted.get(request.socket);
    if (via !== undefined && via.registry.host !== SELF)
      return pulls.serve(exchangeOf(request, response, via));
    const target = request.url ?? '/';
    if (via !== undefined || target.startsWith('/')) return site(request, response);
    const url = URL.canParse(target) ? new URL(target) : undefined;
    if (url?.protocol !== 'http:') {
      throw new BreakwaterError(
        'REQUEST_MALFORMED',
        'a proxy request needs an http:// URL; https goes through CONNECT',
      );
    }
    request.url = url.pathname + url.search;
    const port = Number(url.port || 80);
    const scheme = matcher.schemeFor(url.hostname, port);
    const registry = registryHost(url.hostname, port, scheme ?? 'http');
    const exchange = exchangeOf(request, response, {
      registry,
      clientAddress: request.socket.remoteAddress ?? '',
    });
    return scheme === undefined ? pulls.forward(exchange) : pulls.serve(exchange);
  }

  async function enter(request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    if (intercepted.has(client))
      throw new BreakwaterError('METHOD_NOT_ALLOWED', 'CONNECT inside an intercepted connection');
    const target = parseConnectTarget(request.url ?? '');
    const scheme = matcher.schemeFor(target.host, target.port);
    if (scheme === undefined) {
      parts.onTunnel(client);
      return tunnel(client, head, target);
    }
    const via: Intercepted = {
      registry: registryHost(target.host, target.port, scheme),
      clientAddress: client.remoteAddress ?? '',
    };
    await intercept(client, head, target.host, (secure) => {
      intercepted.set(secure, via);
      server.emit('connection', secure);
    });
  }

  server.on('request', (request, response) => {
    answers.set(request.socket, response);
    answer(request, response).catch((thrown: unknown) =>
      refuse(request, response, asBreakwaterError(thrown)),
    );
  });
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // who is refused may send its body or not: what would follow on the connection cannot be told
    response.shouldKeepAlive = false;
    server.emit('request', request, response);
  });
  server.on('connect', (request: IncomingMessage, client: Socket, head: Buffer) => {
    client.on('error', () => client.destroy()); // a client that resets is gone, and nothing is lost
    enter(request, client, head).catch((thrown: unknown) => {
      const error = asBreakwaterError(thrown);
      log.info({ client: client.remoteAddress, code: error.code, reason: error.message }, 'connect refused');
      refuseRaw(client, error);
    });
  });
  server.on('clientError', (error, socket) => {
    const last = answers.get(socket);
    answerClientError(error, socket, last !== undefined && !last.writableFinished);
  });
  return server;
}
