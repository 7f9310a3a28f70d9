import type { Acceptance } from '../cache/acceptance.ts';
import type { Digest } from '../registry/digest.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import type { LinkTable } from '../store/index/link-table.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { Visibility } from '../registry/visibility.ts';
import { createFlights } from '../upstream/flights.ts';
import { isOutage } from '../upstream/outage.ts';
import { identityKey } from '../upstream/identity.ts';
import { toRefusal } from '../upstream/refusal.ts';
import { discard, type Upstream, type UpstreamAnswer } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
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
   * Asks upstream, without a body, whether the client may have it; concurrent questions are one.
   * @throws what upstream answered where it may not.
   */
  ask(exchange: Exchange, repository: RepositoryName, digest: Digest, path: string): Promise<void>;
}

/** Milliseconds for which upstream's word on a client's own credentials counts before it is asked again. */
export const LEASH_MS = 60_000;
/** The same where upstream cannot be asked. */
export const OUTAGE_LEASH_MS = 12 * 3_600_000;

export function createAccess(links: LinkTable, acceptance: Acceptance, upstream: Upstream): Access {
  const flights = createFlights<Visibility>();

  const record: Access['record'] = ({ identity, registry }, repository, digest, visibility) => {
    links.put(registry.name, repository, digest, visibility);
    if (visibility === 'own') acceptance.accepted(identityKey(identity), registry.name, repository);
  };

  async function question(exchange: Exchange, repository: RepositoryName, path: string): Promise<Visibility> {
    const { registry, identity, request } = exchange;
    const headers = upstreamHeaders(request);
    const ask = (method: 'HEAD' | 'GET'): Promise<UpstreamAnswer> =>
      upstream.ask({ registry, repository, method, path, headers, identity, follow: true });
    let answer = await ask('HEAD');
    if (answer.status === 404 || answer.status === 405) {
      // some registries and caches answer HEAD wrongly; GET has the last word, its body is not read
      await discard(answer);
      answer = await ask('GET');
    }
    if (answer.status !== 200) throw await toRefusal(answer);
    answer.body.destroy();
    return answer.visibility;
  }

  function isAllowed(
    { identity, registry }: Exchange,
    repository: RepositoryName,
    digest: Digest,
    leash: number,
  ): boolean {
    const visibility = links.find(registry.name, repository, digest);
    if (visibility !== 'own') return visibility !== undefined;
    return acceptance.isAccepted(identityKey(identity), registry.name, repository, leash);
  }

  return {
    isKnown: (exchange, repository, digest) => isAllowed(exchange, repository, digest, LEASH_MS),
    isKnownInOutage: (exchange, repository, digest) =>
      isAllowed(exchange, repository, digest, OUTAGE_LEASH_MS),
    record,
    async ask(exchange, repository, digest, path) {
      const { registry, identity } = exchange;
      const key = `${identityKey(identity)} ${registry.name} ${path}`;
      let visibility: Visibility;
      try {
        visibility = await flights.share(key, () => question(exchange, repository, path));
      } catch (thrown) {
        if (isOutage(asBreakwaterError(thrown)) && isAllowed(exchange, repository, digest, OUTAGE_LEASH_MS))
          return;
        throw thrown;
      }
      record(exchange, repository, digest, visibility);
    },
  };
}
