import type { Dispatcher } from 'undici';
import { parseChallenges } from '../registry/challenge.ts';
import { BreakwaterError } from '../registry/errors.ts';
import { registryHost, registryUrl, type RegistryHost } from '../registry/registry-host.ts';
import { pullScope } from '../registry/scope.ts';
import type { RepositoryName } from '../registry/name.ts';
import { narrower, type Visibility } from '../registry/visibility.ts';
import { ANONYMOUS, PROXY_IDENTITY, type Identity } from './identity.ts';
import type { IssuedTokens } from './issued-tokens.ts';
import type { Grant, TokenBroker } from './token-broker.ts';
import type { Transport, TransportAnswer, TransportRequest } from './transport.ts';

export interface UpstreamRequest {
  readonly registry: RegistryHost;
  readonly method: Dispatcher.HttpMethod;
  /** Origin-form path with its query, as it goes on the wire. */
  readonly path: string;
  /** Lower-case names; without `authorization`, which follows from `identity`. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly identity: Identity;
  /** The repository asked about; it gives the scope of the token. */
  readonly repository?: RepositoryName;
  readonly body?: Dispatcher.DispatchOptions['body'];
  /** Follow redirects inside the proxy; only for GET and HEAD. */
  readonly follow: boolean;
  readonly signal?: AbortSignal;
}

/** Upstream's answer after redirects and challenges; `body` must be read to its end or destroyed. */
export interface UpstreamAnswer extends TransportAnswer {
  /** The host that gave the body: the registry, or where its redirects led. */
  readonly host: string;
  readonly visibility: Visibility;
}

/** The way out: asks registries, answers their challenges in the proxy's name, follows their redirects. */
export interface Upstream {
  /** @throws `UPSTREAM_*` where no answer could be had; every status that was answered is returned. */
  ask(request: UpstreamRequest): Promise<UpstreamAnswer>;
}

const MAX_HOPS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What a request carries to another origin; all else, cookies and credentials first, stays behind. */
const CROSSING = new Set(['accept', 'accept-encoding', 'range', 'if-range', 'user-agent']);

interface Authorized {
  readonly answer: TransportAnswer;
  readonly visibility: Visibility;
}

/** How challenges are answered: with the credentials that the proxy holds, and without any. */
export interface Brokers {
  readonly proxy: TokenBroker;
  readonly anonymous: TokenBroker;
}

export function createUpstream(transport: Transport, brokers: Brokers, issued: IssuedTokens): Upstream {
  /** Sends with the client's credentials, or in the proxy's name, answering one challenge. */
  async function authorized(request: UpstreamRequest, url: URL): Promise<Authorized> {
    const { registry, method, headers, body, signal, identity } = request;
    const send = (authorization: string | undefined): Promise<TransportAnswer> =>
      sendSafely(transport, {
        url,
        method,
        headers: authorization === undefined ? headers : { ...headers, authorization },
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
      });
    if (identity.kind === 'client') {
      return {
        answer: await send(identity.authorization),
        visibility: issued.visibilityOf(identity.authorization),
      };
    }
    if (identity.kind === 'nobody') return { answer: await send(undefined), visibility: 'public' };
    const broker = brokers[identity.kind];
    const scope = request.repository === undefined ? '' : pullScope(request.repository);
    const held = broker.held(registry, scope);
    const first = await send(held?.authorization);
    if (first.status !== 401 || body !== undefined)
      return { answer: first, visibility: held?.visibility ?? 'public' };
    if (held !== undefined) broker.forget(registry, scope, held);
    // another request may have been given a grant while this one was on its way
    const grant = broker.held(registry, scope) ?? (await answerChallenge(broker, registry, first, scope));
    if (grant === undefined || grant.authorization === held?.authorization) {
      return { answer: first, visibility: held?.visibility ?? 'public' };
    }
    await discard(first);
    return { answer: await send(grant.authorization), visibility: grant.visibility };
  }

  async function answerChallenge(
    broker: TokenBroker,
    registry: RegistryHost,
    answer: TransportAnswer,
    scope: string,
  ): Promise<Grant | undefined> {
    try {
      return await broker.answer(registry, parseChallenges(answer.headers['www-authenticate']), scope);
    } catch (thrown) {
      // the client may have credentials that work: it is shown the registry's own challenge
      if (thrown instanceof BreakwaterError && thrown.code === 'UPSTREAM_TOKEN') return undefined;
      await discard(answer);
      throw thrown;
    }
  }

  return {
    async ask(request) {
      let step: Step = { request, url: registryUrl(request.registry, request.path) };
      let visibility: Visibility = 'public';
      for (let hop = 0; ; hop += 1) {
        const { answer, visibility: seen } = await authorized(step.request, step.url);
        visibility = narrower(visibility, seen);
        const location = answer.headers['location'];
        if (!request.follow || !REDIRECTS.has(answer.status) || typeof location !== 'string') {
          return { ...answer, host: step.url.host, visibility };
        }
        await discard(answer);
        if (hop === MAX_HOPS) {
          throw new BreakwaterError(
            'UPSTREAM_REDIRECTS',
            `${request.registry.name}: more than ${MAX_HOPS} redirects`,
          );
        }
        step = redirected(step, location, request.registry.name);
      }
    },
  };
}

/** One request of a chain of redirects. */
interface Step {
  readonly request: UpstreamRequest;
  readonly url: URL;
}

function redirected({ request, url }: Step, location: string, registry: string): Step {
  const next = nextUrl(location, url, registry);
  if (next.origin === url.origin) return { request, url: next };
  const scheme = next.protocol === 'http:' ? 'http' : 'https';
  const port = Number(next.port || (scheme === 'http' ? 80 : 443));
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => CROSSING.has(name)));
  return {
    request: {
      ...request,
      registry: registryHost(next.hostname, port, scheme),
      // the client's credentials stay behind
      identity: request.identity.kind === 'anonymous' ? ANONYMOUS : PROXY_IDENTITY,
      headers,
    },
    url: next,
  };
}

/** An idle connection may die the moment it is used again: a request that is safe to repeat is, once. */
async function sendSafely(transport: Transport, request: TransportRequest): Promise<TransportAnswer> {
  try {
    return await transport.send(request);
  } catch (thrown) {
    const safe = request.method === 'GET' || request.method === 'HEAD';
    if (safe && thrown instanceof BreakwaterError && thrown.code === 'UPSTREAM_RESET')
      return transport.send(request);
    throw thrown;
  }
}

function nextUrl(location: string, base: URL, registry: string): URL {
  const next = URL.canParse(location, base.href) ? new URL(location, base) : undefined;
  if (next === undefined || (next.protocol !== 'https:' && next.protocol !== 'http:')) {
    throw new BreakwaterError(
      'UPSTREAM_REDIRECTS',
      `${registry}: redirected to an address that cannot be followed`,
    );
  }
  return next;
}

/** Ends an answer whose body is of no use, so that its connection can be used again. */
export async function discard(answer: TransportAnswer): Promise<void> {
  await answer.body.dump({ limit: 64 * 1024 });
}
