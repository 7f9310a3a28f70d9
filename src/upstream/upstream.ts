import type { Dispatcher } from 'undici';
import { parseChallenges } from '../registry/challenge.ts';
import { BreakwaterError } from '../registry/errors.ts';
import { registryUrl, urlHost, type RegistryHost } from '../registry/registry-host.ts';
import { repositoryScope } from '../registry/scope.ts';
import type { RepositoryName } from '../registry/name.ts';
import { narrower, type Visibility } from '../registry/visibility.ts';
import { ANONYMOUS, PROXY_IDENTITY, type Identity } from './identity.ts';
import type { IssuedTokens } from './issued-tokens.ts';
import type { Grant, GrantPurpose, TokenBroker } from './token-broker.ts';
import type { Transport, TransportAnswer, TransportRequest } from './transport.ts';

/** A request's body, which may have to be sent more than once. */
export interface RequestBody {
  /** Its bytes from the first on. */
  open(): AsyncIterable<Uint8Array>;
  /** Whether it can be opened again. */
  readonly replayable: boolean;
}

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
  /** The scope of the token where it is to do more than pull from the repository. */
  readonly scope?: string;
  readonly body?: RequestBody;
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
      sendSafely(transport, body?.replayable ?? true, () => ({
        url,
        method,
        headers: authorization === undefined ? headers : { ...headers, authorization },
        ...(body === undefined ? {} : { upload: body.open() }),
        ...(signal === undefined ? {} : { signal }),
      }));
    if (identity.kind === 'client') {
      return {
        answer: await send(identity.authorization),
        visibility: issued.visibilityOf(identity.authorization),
      };
    }
    if (identity.kind === 'nobody') return { answer: await send(undefined), visibility: 'public' };
    const broker = brokers[identity.kind];
    const { repository } = request;
    const scope = request.scope ?? (repository === undefined ? '' : repositoryScope(repository, method));
    const purpose = { registry, repository, scope };
    const once = body !== undefined && !body.replayable;
    const held =
      (await broker.held(purpose)) ?? (once ? await grantAhead(broker, purpose, signal) : undefined);
    const first = await send(held?.authorization);
    if (first.status !== 401) return { answer: first, visibility: held?.visibility ?? 'public' };
    held?.drop();
    if (once) {
      if (held === undefined) return { answer: first, visibility: 'public' };
      await discard(first);
      throw new BreakwaterError(
        'PUSH_INTERRUPTED',
        `${registry.name} no longer accepts the proxy's token, and the body cannot be sent again`,
      );
    }
    const grant = await answerChallenge(broker, purpose, first);
    if (grant === undefined || grant.authorization === held?.authorization) {
      return { answer: first, visibility: held?.visibility ?? 'public' };
    }
    await discard(first);
    return { answer: await send(grant.authorization), visibility: grant.visibility };
  }

  /** The grant for a body that can be sent but once: what the registry would ask for is asked before. */
  async function grantAhead(
    broker: TokenBroker,
    purpose: GrantPurpose,
    signal: AbortSignal | undefined,
  ): Promise<Grant | undefined> {
    const answer = await sendSafely(transport, true, () => ({
      url: registryUrl(purpose.registry, '/v2/'),
      method: 'GET',
      headers: {},
      ...(signal === undefined ? {} : { signal }),
    }));
    const grant = answer.status === 401 ? await answerChallenge(broker, purpose, answer) : undefined;
    await discard(answer);
    return grant;
  }

  async function answerChallenge(
    broker: TokenBroker,
    purpose: GrantPurpose,
    answer: TransportAnswer,
  ): Promise<Grant | undefined> {
    try {
      return await broker.answer(purpose, parseChallenges(answer.headers['www-authenticate']));
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
          return { ...answer, host: urlHost(step.url).name, visibility };
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
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => CROSSING.has(name)));
  return {
    request: {
      ...request,
      registry: urlHost(next),
      // the client's credentials stay behind, and the proxy's are not lent to it in their place
      identity: request.identity.kind === 'proxy' ? PROXY_IDENTITY : ANONYMOUS,
      headers,
    },
    url: next,
  };
}

/** What may be done twice (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);

/** An idle connection may die the moment it is used again: a request that is safe to repeat is, once. */
async function sendSafely(
  transport: Transport,
  replayable: boolean,
  request: () => TransportRequest,
): Promise<TransportAnswer> {
  const first = request();
  try {
    return await transport.send(first);
  } catch (thrown) {
    const safe = replayable && IDEMPOTENT.has(first.method) && first.signal?.aborted !== true;
    if (safe && thrown instanceof BreakwaterError && thrown.code === 'UPSTREAM_RESET')
      return transport.send(request());
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
