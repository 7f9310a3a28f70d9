import type { Digest } from '../registry/digest.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { Fills, RunningFill } from '../store/fills.ts';
import type { ByteSource, Store } from '../store/store.ts';
import { identityKey } from '../upstream/identity.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Access } from './access.ts';
import { createClientSource } from './client-source.ts';
import type { Exchange } from './exchange.ts';
import { createObjectSource, type ObjectSource } from './object-source.ts';
import { orGiveUp } from './patience.ts';
import { upstreamHeaders } from './upstream-headers.ts';

/** An object by its digest, as one client asks for it at one path. */
interface ObjectTarget {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly kind: 'blob' | 'manifest';
  /** Where upstream serves it. */
  readonly path: string;
}

/** An object that the client may have, whole or still growing. */
export interface Obtained {
  readonly source: ByteSource;
  readonly mediaType: string | undefined;
  /** The fill it comes from; undefined for a stored object. */
  readonly fill: RunningFill | undefined;
}

/** Finds objects in the cache or begins to fetch them; the one place that joins access, store and fills. */
export interface Objects {
  /** @throws what upstream answered where the client may not have it, or it cannot be fetched. */
  obtain(exchange: Exchange, target: ObjectTarget): Promise<Obtained>;
}

/** Seconds that a client rather waits for the fill than has its range fetched apart, and bytes, at the least. */
const PATIENCE = 1;
const NEAR = 1024 * 1024;

export interface ObjectsOptions {
  readonly store: Store;
  readonly fills: Fills;
  readonly access: Access;
  readonly upstream: Upstream;
  readonly stallTimeout: number;
}

export function createObjects({ store, fills, access, upstream, stallTimeout }: ObjectsOptions): Objects {
  function sourceOf(exchange: Exchange, { repository, digest, kind, path }: ObjectTarget): ObjectSource {
    const { registry, identity, request, outcome } = exchange;
    const asked = performance.now();
    const headers = upstreamHeaders(request);
    return createObjectSource(upstream, { registry, repository, kind, path, headers, identity }, (answer) => {
      outcome.upstream = answer.host;
      outcome.upstreamTime = performance.now() - asked;
      access.record(exchange, repository, digest, answer.visibility);
    });
  }

  function isAsked({ origin }: RunningFill, { registry }: Exchange, repository: RepositoryName): boolean {
    return origin.registry === registry.name && origin.repository === repository;
  }

  /** Makes sure that the client may have what is stored, or about to be. */
  async function admit(
    exchange: Exchange,
    target: ObjectTarget,
    running: RunningFill | undefined,
  ): Promise<void> {
    const { repository, digest, path } = target;
    if (running !== undefined && isAsked(running, exchange, repository)) {
      // its first answer says who may have it; a refusal of somebody else's credentials says nothing
      try {
        await orGiveUp(running.fill.opened, exchange);
      } catch (refused) {
        if (running.origin.identityKey === identityKey(exchange.identity)) throw refused;
      }
    }
    if (!access.isKnown(exchange, repository, digest)) await access.ask(exchange, repository, digest, path);
  }

  /** The running fill, or one of the client's own where there is none, or it was refused to somebody else. */
  async function join(
    exchange: Exchange,
    target: ObjectTarget,
    upstreamSource: ObjectSource,
  ): Promise<RunningFill> {
    const { registry, identity, outcome } = exchange;
    const { repository, digest } = target;
    const running = fills.find(digest);
    if (running !== undefined) {
      const opened = await running.fill.opened.then(
        () => true,
        () => false,
      );
      if (opened) {
        outcome.joined = true;
        return running;
      }
    }
    const origin = { registry: registry.name, repository, identityKey: identityKey(identity) };
    const found = fills.find(digest);
    outcome.joined = found !== undefined && found !== running;
    const own =
      found === undefined || found === running ? fills.start(digest, origin, upstreamSource.from) : found;
    await own.fill.opened;
    return own;
  }

  function clientSource(
    first: ByteSource,
    running: RunningFill | undefined,
    exchange: Exchange,
    target: ObjectTarget,
    upstreamSource: ObjectSource,
  ): ByteSource {
    return createClientSource({
      first,
      upstream: upstreamSource.from,
      stretch: (start, end) => upstreamSource.stretch(start, end),
      stallTimeout,
      isFarAhead: (position) =>
        running !== undefined &&
        position > running.fill.length + Math.max(NEAR, running.fill.rate * PATIENCE),
      async again() {
        const other = (await join(exchange, target, upstreamSource)).fill.reader();
        if (other.size === first.size) return other;
        other.close();
        return undefined;
      },
    });
  }

  return {
    async obtain(exchange, target) {
      const { outcome } = exchange;
      const { digest } = target;
      outcome.digest = digest;
      const running = fills.find(digest);
      const object = store.find(digest);
      if (running !== undefined || object !== undefined) {
        try {
          await admit(exchange, target, running);
        } catch (refused) {
          outcome.cacheStatus ??= 'MISS'; // that it is cached is no business of who may not have it
          throw refused;
        }
        const stored = await openStored(store, digest);
        if (stored !== undefined) {
          outcome.cacheStatus ??= 'HIT';
          // what is in memory cannot fail
          const source =
            stored.bytes === undefined
              ? clientSource(stored, undefined, exchange, target, sourceOf(exchange, target))
              : stored;
          const mediaType = object?.mediaType ?? store.find(digest)?.mediaType;
          return { source, mediaType, fill: undefined };
        }
      }
      const upstreamSource = sourceOf(exchange, target);
      if (outcome.cacheStatus !== 'EXPIRED') outcome.cacheStatus = 'MISS';
      const fill = await orGiveUp(join(exchange, target, upstreamSource), exchange);
      const { size, mediaType } = await fill.fill.opened;
      // an object without bytes has none to hold back until it was verified
      if (size === 0) await fill.fill.done;
      const source = clientSource(fill.fill.reader(), fill, exchange, target, upstreamSource);
      return { source, mediaType, fill };
    },
  };
}

/** A disk that fails to open an object is as good as one that has it not. */
async function openStored(store: Store, digest: Digest): Promise<ByteSource | undefined> {
  try {
    return await store.open(digest);
  } catch {
    return undefined; // counted where it failed; the bytes come from upstream
  }
}
