import type { Digest } from '../registry/digest.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { Fills, RunningFill } from '../store/fills.ts';
import type { ByteSource, Store } from '../store/store.ts';
import { identityKey } from '../upstream/identity.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Access } from './access.ts';
import type { Exchange } from './exchange.ts';
import { objectSource } from './object-source.ts';
import { upstreamHeaders } from './upstream-headers.ts';

/** An object by its digest, as one client asks for it at one path. */
export interface ObjectTarget {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly kind: 'blob' | 'manifest';
  /** Where upstream serves it. */
  readonly path: string;
}

/** An object that the client may have, whole or still growing. */
export interface Obtained {
  readonly source: ByteSource;
  readonly size: number | undefined;
  readonly mediaType: string | undefined;
  /** The fill it comes from; undefined for a stored object. */
  readonly fill: RunningFill | undefined;
}

/** Finds objects in the cache or begins to fetch them; the one place that joins access, store and fills. */
export interface Objects {
  /** @throws what upstream answered where the client may not have it, or it cannot be fetched. */
  obtain(exchange: Exchange, target: ObjectTarget): Promise<Obtained>;
}

export function createObjects(store: Store, fills: Fills, access: Access, upstream: Upstream): Objects {
  function start(exchange: Exchange, { repository, digest, kind, path }: ObjectTarget): RunningFill {
    const { registry, identity, request, outcome } = exchange;
    const asked = performance.now();
    const source = objectSource(
      upstream,
      { registry, repository, kind, path, headers: upstreamHeaders(request), identity },
      (answer) => {
        outcome.upstream = answer.host;
        outcome.upstreamTime = performance.now() - asked;
        access.record(exchange, repository, digest, answer.visibility);
      },
    );
    return fills.start(
      digest,
      { registry: registry.name, repository, identityKey: identityKey(identity) },
      source,
    );
  }

  /** Makes sure that the client may have what is stored, or about to be. */
  async function admit(
    exchange: Exchange,
    target: ObjectTarget,
    running: RunningFill | undefined,
  ): Promise<void> {
    const { registry, identity } = exchange;
    const { repository, digest, path } = target;
    if (
      running !== undefined &&
      running.origin.registry === registry.name &&
      running.origin.repository === repository
    ) {
      // its first answer says who may have it; a refusal of somebody else's credentials says nothing
      try {
        await running.fill.opened;
      } catch (refused) {
        if (running.origin.identityKey === identityKey(identity)) throw refused;
      }
    }
    if (!access.isKnown(exchange, repository, digest)) await access.ask(exchange, repository, digest, path);
  }

  async function fromFill(running: RunningFill): Promise<Obtained> {
    const { size, mediaType } = await running.fill.opened;
    return { source: running.fill.reader(), size, mediaType, fill: running };
  }

  return {
    async obtain(exchange, target) {
      const { outcome } = exchange;
      outcome.digest = target.digest;
      const stored = store.find(target.digest);
      const running = fills.find(target.digest);
      if (stored !== undefined || running !== undefined) {
        await admit(exchange, target, running);
        const source = await store.open(target.digest);
        if (source !== undefined) {
          outcome.cacheStatus ??= 'HIT';
          return {
            source,
            size: source.size,
            mediaType: store.find(target.digest)?.mediaType,
            fill: undefined,
          };
        }
      }
      if (outcome.cacheStatus !== 'EXPIRED') outcome.cacheStatus = 'MISS';
      return fromFill(fills.find(target.digest) ?? start(exchange, target));
    },
  };
}
