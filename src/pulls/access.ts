import { LRUCache } from 'lru-cache';
import type { Acceptance } from '../cache/acceptance.ts';
import type { Digest } from '../registry/digest.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { PrivateImages, Visibility } from '../registry/visibility.ts';
import type { LinkTable } from '../store/index/link-table.ts';
import { createFlights } from '../upstream/flights.ts';
import { ANONYMOUS, identityKey, type Identity } from '../upstream/identity.ts';
import { isOutage } from '../upstream/outage.ts';
import { toRefusal, UpstreamRefusal } from '../upstream/refusal.ts';
import type { Upstream, UpstreamAnswer } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { orGiveUp, withPatience } from './patience.ts';
import { upstreamHeaders } from './upstream-headers.ts';

/** Decides whether a client may have what is in the cache; upstream's word counts, the cache only remembers it. */
export interface Access {
  /** True where the link and the client's identity are known to go together. */
  isKnown(exchange: Exchange, repository: RepositoryName, digest: Digest): boolean;
  /** The same where upstream cannot be asked: what it once said of a client's own credentials counts for longer. */
  isKnownInOutage(exchange: Exchange, repository: RepositoryName, digest: Digest): boolean;
  /** Records what upstream gave this client. */
  record(exchange: Exchange, repository: RepositoryName, digest: Digest, visibility: Visibility): void;
  /**
   * Asks upstream, without a body, whether the client may have it; concurrent questions of one identity about one
   * repository are one.
   * @throws what upstream answered where it may not.
   */
  ask(exchange: Exchange, repository: RepositoryName, digest: Digest, path: string): Promise<void>;
}

export interface AccessOptions {
  readonly links: LinkTable;
  readonly acceptance: Acceptance;
  readonly upstream: Upstream;
  readonly policy: PrivateImages;
  /** Milliseconds for which upstream's word on a client's own credentials counts before it is asked again. */
  readonly leash: number;
  /** The same where upstream cannot be asked. */
  readonly outageLeash: number;
}

/** What a question told of who may have an object. */
interface Finding {
  readonly visibility: Visibility;
}

/** A repository that wanted credentials is not tried without any again for this long, in milliseconds. */
export const PROBE_AGAIN_MS = 10 * 60_000;
const MAX_PROBED = 10_000;

export function createAccess(options: AccessOptions): Access {
  const { links, acceptance, upstream, policy, leash, outageLeash } = options;
  const flights = createFlights<Finding>();
  const closed = new LRUCache<string, true>({ max: MAX_PROBED, ttl: PROBE_AGAIN_MS });

  const record: Access['record'] = ({ identity, registry }, repository, digest, visibility) => {
    links.put(registry.name, repository, digest, visibility);
    if (visibility === 'own') acceptance.accepted(identityKey(identity), registry.name, repository);
  };

  function question(
    { registry, request }: Exchange,
    identity: Identity,
    repository: RepositoryName,
    path: string,
    method: 'HEAD' | 'GET',
  ): Promise<UpstreamAnswer> {
    const headers = upstreamHeaders(request);
    return upstream.ask({ registry, repository, method, path, headers, identity, follow: true });
  }

  async function find(exchange: Exchange, repository: RepositoryName, path: string): Promise<Finding> {
    const ask = async (method: 'HEAD' | 'GET'): Promise<Finding> => {
      const answer = await question(exchange, exchange.identity, repository, path, method);
      if (answer.status !== 200) throw await toRefusal(answer);
      answer.body.destroy();
      return { visibility: answer.visibility };
    };
    try {
      return await ask('HEAD');
    } catch (thrown) {
      if (exchange.request.method === 'HEAD' || !(thrown instanceof UpstreamRefusal)) throw thrown;
      // some registries and caches answer HEAD wrongly; GET has the last word, and the words of a refusal, by which
      // what is cached must not be told from what is not
      return ask('GET');
    }
  }

  /**
   * One question a repository for those of its objects that a client asks for together: upstream's word on the
   * client's credentials goes for all that it gave before.
   */
  async function together(exchange: Exchange, repository: RepositoryName, path: string): Promise<Finding> {
    let leads = false;
    try {
      const finding = await flights.share(flightKey(exchange, repository), () => {
        leads = true;
        return find(exchange, repository, path);
      });
      if (leads || finding.visibility === 'own') return finding;
    } catch (thrown) {
      if (leads || !(thrown instanceof UpstreamRefusal)) throw thrown;
    }
    // another object's answer says nothing of this one
    return alone(exchange, repository, path);
  }

  function alone(exchange: Exchange, repository: RepositoryName, path: string): Promise<Finding> {
    return flights.share(flightKey(exchange, path), () => find(exchange, repository, path));
  }

  /** Tries without credentials what one client's own opened: what is public need not be asked about again. */
  function probe(exchange: Exchange, repository: RepositoryName, digest: Digest, path: string): void {
    const { registry } = exchange;
    const key = `${registry.name} ${repository}`;
    if (closed.has(key)) return;
    closed.set(key, true);
    question(exchange, ANONYMOUS, repository, path, 'HEAD').then(
      (answer) => {
        answer.body.destroy();
        if (answer.status !== 200) return;
        closed.delete(key);
        links.put(registry.name, repository, digest, 'public');
      },
      () => closed.delete(key), // nothing is known; nobody waits for it
    );
  }

  function isAllowed(
    { identity, registry }: Exchange,
    repository: RepositoryName,
    digest: Digest,
    leash: number,
  ): boolean {
    const visibility = links.find(registry.name, repository, digest);
    if (visibility === undefined) return false;
    if (visibility === 'public' || (visibility === 'shared' && policy === 'shared')) return true;
    return (
      identity.kind === 'client' &&
      acceptance.isAccepted(identityKey(identity), registry.name, repository, leash)
    );
  }

  return {
    isKnown: (exchange, repository, digest) => isAllowed(exchange, repository, digest, leash),
    isKnownInOutage: (exchange, repository, digest) => isAllowed(exchange, repository, digest, outageLeash),
    record,
    async ask(exchange, repository, digest, path) {
      const { registry, identity } = exchange;
      const isReturning =
        identity.kind === 'client' && links.find(registry.name, repository, digest) !== undefined;
      if (isReturning) probe(exchange, repository, digest, path);
      const asked = (isReturning ? together : alone)(exchange, repository, path);
      const mayWait = isAllowed(exchange, repository, digest, outageLeash);
      let finding: Finding | undefined;
      try {
        finding = await (mayWait
          ? withPatience<Finding | undefined>(asked, undefined)
          : orGiveUp(asked, exchange));
      } catch (thrown) {
        const error = asBreakwaterError(thrown);
        if (isOutage(error) && mayWait) return;
        if (error.status === 404) acceptance.refused(identityKey(identity), registry.name, repository);
        throw thrown;
      }
      if (finding !== undefined) record(exchange, repository, digest, finding.visibility);
    },
  };
}

function flightKey({ identity, request, registry }: Exchange, of: string): string {
  return `${identityKey(identity)} ${request.method ?? ''} ${registry.name} ${of}`;
}

/**
 * Whether what HEAD asks for can be told from the cache. One whom upstream accepted is asked about again, as upstream
 * may be away; for anyone else upstream's own answer to HEAD is what the client gets.
 * @throws what upstream answered where it accepts them no more.
 */
export async function mayHave(
  access: Access,
  exchange: Exchange,
  repository: RepositoryName,
  digest: Digest,
  path: string,
): Promise<boolean> {
  if (access.isKnown(exchange, repository, digest)) return true;
  if (!access.isKnownInOutage(exchange, repository, digest)) return false;
  await access.ask(exchange, repository, digest, path);
  return true;
}
