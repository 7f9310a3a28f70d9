import type { Readings } from './exposition.ts';
import type { Meters } from './meters.ts';

/** What is looked at, rather than counted, when somebody asks. */
export interface Sources {
  readonly version: string;
  readonly drain: { readonly active: number };
  readonly fills: { readonly active: number };
  readonly store: { totals(): { readonly objects: number; readonly bytes: number } };
  /** Bytes (`CACHE_MAX_SIZE`). */
  readonly maxSize: () => number;
  readonly health: { readonly faults: number; readonly degraded: string | undefined };
  readonly limits: { all(): readonly LimitOf[] };
  readonly ca: { readonly notAfter: Date };
}

interface LimitOf {
  readonly registry: string;
  /** The kind of it, or what stands for a client's credentials. */
  readonly identity: string;
  readonly limit: { readonly limit: number | undefined; readonly remaining: number };
}

/** Joins what was counted with what can be looked at; every metric has its figures from one of them. */
export function createReadings(meters: Meters, sources: Sources): Readings {
  const { drain, fills, store, health, limits, ca } = sources;
  const ofProxy = (read: () => number) => () => [{ labels: [], value: read() }];
  return {
    ...meters.readings,
    breakwater_build_info: () => [{ labels: [sources.version, process.version], value: 1 }],
    breakwater_requests_active: ofProxy(() => drain.active),
    breakwater_fills_active: ofProxy(() => fills.active),
    breakwater_cache_size_bytes: ofProxy(() => store.totals().bytes),
    breakwater_cache_max_size_bytes: ofProxy(sources.maxSize),
    breakwater_cache_entries: ofProxy(() => store.totals().objects),
    breakwater_store_faults_total: ofProxy(() => health.faults),
    breakwater_store_degraded: ofProxy(() => (health.degraded === undefined ? 0 : 1)),
    breakwater_upstream_ratelimit_limit: () =>
      worst(limits.all(), meters.labelOf).flatMap(({ labels, limit }) =>
        limit.limit === undefined ? [] : [{ labels, value: limit.limit }],
      ),
    breakwater_upstream_ratelimit_remaining: () =>
      worst(limits.all(), meters.labelOf).map(({ labels, limit }) => ({ labels, value: limit.remaining })),
    breakwater_tunnels_active: ofProxy(() => meters.openTunnels),
    breakwater_ca_not_after_timestamp_seconds: ofProxy(() => ca.notAfter.getTime() / 1000),
    process_cpu_seconds_total: ofProxy(() => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }),
    process_resident_memory_bytes: ofProxy(() => process.memoryUsage.rss()),
    process_start_time_seconds: ofProxy(() => performance.timeOrigin / 1000),
  };
}

const KINDS = new Set(['proxy', 'anonymous', 'nobody']);

/** Of the limits that share their labels the one with the least left. */
function worst(
  all: readonly LimitOf[],
  labelOf: Meters['labelOf'],
): readonly { readonly labels: readonly string[]; readonly limit: LimitOf['limit'] }[] {
  const found = new Map<string, { labels: readonly string[]; limit: LimitOf['limit'] }>();
  for (const { registry, identity, limit } of all) {
    // a client's key stands for its credentials: it is nobody's business here
    const labels = [labelOf(registry), KINDS.has(identity) ? identity : 'client'];
    const key = labels.join('\n');
    const known = found.get(key);
    if (known === undefined || limit.remaining < known.limit.remaining) found.set(key, { labels, limit });
  }
  return [...found.values()];
}
