import type { EventEmitter } from 'node:events';
import type { CacheStatus } from '../cache/status.ts';
import type { RegistryPattern } from '../config/registry-pattern.ts';
import type { Exchange } from '../pulls/exchange.ts';
import { LABELS, METRICS, type MetricName } from './metrics.ts';
import { createRegistryLabels, type RegistryLabels } from './registry-labels.ts';
import {
  combinations,
  createSpread,
  createTally,
  type Count,
  type Distribution,
  type Sample,
} from './tally.ts';

const FILL_RESULTS = ['stored', 'corrupt', 'unstored', 'failed'] as const;
const TOKEN_RESULTS = ['granted', 'refused', 'failed'] as const;

/** How a fetch into the cache ended. */
interface FillEnd {
  readonly result: (typeof FILL_RESULTS)[number];
  readonly kind: 'blob' | 'manifest';
  readonly bytes: number;
}

/** The metrics that are counted as things happen; the others are looked at. */
type CountedName = Extract<
  MetricName,
  | 'breakwater_requests_total'
  | 'breakwater_response_bytes_total'
  | 'breakwater_responses_total'
  | 'breakwater_bytes_saved_total'
  | 'breakwater_cache_coalesced_total'
  | 'breakwater_fills_total'
  | 'breakwater_fill_bytes_total'
  | 'breakwater_cache_evictions_total'
  | 'breakwater_cache_evicted_bytes_total'
  | 'breakwater_upstream_requests_total'
  | 'breakwater_auth_token_requests_total'
  | 'breakwater_tunnels_total'
  | 'registry_proxy_requests_total'
  | 'registry_proxy_hits_total'
  | 'registry_proxy_misses_total'
  | 'registry_proxy_pulled_bytes_total'
  | 'registry_proxy_pushed_bytes_total'
  | 'breakwater_request_duration_seconds'
  | 'breakwater_cache_eviction_age_seconds'
  | 'breakwater_upstream_duration_seconds'
>;

/** Counts what happens, to be read when somebody asks. */
export interface Meters {
  readonly labelOf: RegistryLabels['labelOf'];
  readonly readings: Readonly<Record<CountedName, () => readonly (Sample | Distribution)[]>>;
  /** Tunnels that are open now. */
  readonly openTunnels: number;
  readonly onFinished: (exchange: Exchange) => void;
  /** Told of upstream's answers, or without a status of their failure, and the milliseconds until then. */
  readonly onAnswered: (url: URL, status: number | undefined, milliseconds: number) => void;
  readonly onToken: (result: (typeof TOKEN_RESULTS)[number]) => void;
  readonly onFillEnd: (end: FillEnd) => void;
  /** Told of the bytes, and of the milliseconds since anybody asked for the object. */
  readonly onEvicted: (bytes: number, unused: number) => void;
  readonly onTunnel: (client: EventEmitter) => void;
}

type Kind = (typeof LABELS.kind.values)[number];
type Code = (typeof LABELS.code.values)[number];

interface RegistryCounts {
  readonly asked: ReadonlyMap<
    Kind,
    ReadonlyMap<CacheStatus | 'NONE', { readonly requests: Count; readonly bytes: Count }>
  >;
  readonly responses: ReadonlyMap<Code, Count>;
  readonly saved: Count;
  readonly coalesced: Count;
}

/** The answers whose bytes were in the cache already. */
const HITS = new Set<CacheStatus | undefined>(['HIT', 'STALE', 'UPDATING', 'REVALIDATED']);
const MISSES = new Set<CacheStatus | undefined>(['MISS', 'EXPIRED']);
const CODES: ReadonlyMap<number, Code> = new Map(
  (['401', '403', '404', '429'] as const).map((code) => [Number(code), code]),
);
const CLASSES: readonly (Code | undefined)[] = [undefined, undefined, '2xx', '3xx', '4xx', '5xx'];

/** A request costs a few additions, at its end. */
export function createMeters(patterns: readonly RegistryPattern[], now: () => number): Meters {
  const { labelFor, labelOf, all: registries } = createRegistryLabels(patterns);
  const { kind, cache_status: status, code, type } = LABELS;
  const asked = combinations(registries, kind.values, status.values);
  const ofEach = combinations(registries);
  const answered = combinations(registries, code.values);
  const types = combinations(type.values);

  const requests = createTally(asked);
  const sentBytes = createTally(asked);
  const responses = createTally(answered);
  const durations = createSpread(
    METRICS.breakwater_request_duration_seconds.buckets ?? [],
    combinations(kind.values),
  );
  const saved = createTally(ofEach);
  const coalesced = createTally(ofEach);
  const fills = createTally(combinations(FILL_RESULTS));
  const fillBytes = createTally(types);
  const evictions = createTally([[]]);
  const evictedBytes = createTally([[]]);
  const evictionAges = createSpread(METRICS.breakwater_cache_eviction_age_seconds.buckets ?? [], [[]]);
  const upstreamRequests = createTally(answered);
  const upstreamTimes = createSpread(METRICS.breakwater_upstream_duration_seconds.buckets ?? [], ofEach);
  const tokens = createTally(combinations(TOKEN_RESULTS));
  const tunnels = createTally([[]]);
  const byRegistry = new Map<string, RegistryCounts>();
  let openTunnels = 0;
  const proxied = {
    requests: createTally(types),
    hits: createTally(types),
    misses: createTally(types),
    pulled: createTally(types),
    pushed: createTally(types),
  };
  const ofType = (what: 'blob' | 'manifest') => ({
    requests: proxied.requests.of(what),
    hits: proxied.hits.of(what),
    misses: proxied.misses.of(what),
    pulled: proxied.pulled.of(what),
    pushed: proxied.pushed.of(what),
  });
  const reference = { blob: ofType('blob'), manifest: ofType('manifest') };

  /** What of one registry is counted at the end of each request, found without making a key of its labels. */
  function countsOf(label: string): RegistryCounts {
    const known = byRegistry.get(label);
    if (known !== undefined) return known;
    const counts: RegistryCounts = {
      asked: new Map(
        kind.values.map((what) => [
          what,
          new Map(
            status.values.map((how) => [
              how,
              { requests: requests.of(label, what, how), bytes: sentBytes.of(label, what, how) },
            ]),
          ),
        ]),
      ),
      responses: new Map(code.values.map((value) => [value, responses.of(label, value)])),
      saved: saved.of(label),
      coalesced: coalesced.of(label),
    };
    byRegistry.set(label, counts);
    return counts;
  }

  return {
    labelOf,
    readings: {
      breakwater_requests_total: requests.read,
      breakwater_response_bytes_total: sentBytes.read,
      breakwater_responses_total: responses.read,
      breakwater_bytes_saved_total: saved.read,
      breakwater_cache_coalesced_total: coalesced.read,
      breakwater_fills_total: fills.read,
      breakwater_fill_bytes_total: fillBytes.read,
      breakwater_cache_evictions_total: evictions.read,
      breakwater_cache_evicted_bytes_total: evictedBytes.read,
      breakwater_upstream_requests_total: upstreamRequests.read,
      breakwater_auth_token_requests_total: tokens.read,
      breakwater_tunnels_total: tunnels.read,
      registry_proxy_requests_total: proxied.requests.read,
      registry_proxy_hits_total: proxied.hits.read,
      registry_proxy_misses_total: proxied.misses.read,
      registry_proxy_pulled_bytes_total: proxied.pulled.read,
      registry_proxy_pushed_bytes_total: proxied.pushed.read,
      breakwater_request_duration_seconds: durations.read,
      breakwater_cache_eviction_age_seconds: evictionAges.read,
      breakwater_upstream_duration_seconds: upstreamTimes.read,
    },
    get openTunnels() {
      return openTunnels;
    },
    onFinished({ registry, response, outcome, startedAt }) {
      const { cacheStatus, bytesSent, joined } = outcome;
      const counts = countsOf(labelFor(registry.host, registry.port));
      const what = kindOf(outcome.cacheType);
      const hit = HITS.has(cacheStatus);
      add(counts.asked.get(what)?.get(cacheStatus ?? 'NONE')?.requests, 1);
      add(counts.asked.get(what)?.get(cacheStatus ?? 'NONE')?.bytes, bytesSent);
      add(counts.responses.get(codeOf(response.headersSent ? response.statusCode : undefined)), 1);
      durations.add((now() - startedAt) / 1000, what);
      if (hit || joined) add(counts.saved, bytesSent);
      if (joined) add(counts.coalesced, 1);
      if (what === 'other') return;
      const proxy = reference[what];
      proxy.requests.value += 1;
      proxy.pushed.value += bytesSent;
      if (hit) proxy.hits.value += 1;
      else if (MISSES.has(cacheStatus)) proxy.misses.value += 1;
      else if (cacheStatus === 'BYPASS') proxy.pulled.value += bytesSent;
    },
    onAnswered({ protocol, hostname, port }, status, milliseconds) {
      const host = hostname.replace(/^\[(.*)\]$/, '$1'); // IPv6
      const label = labelFor(host, Number(port || (protocol === 'http:' ? 80 : 443)));
      upstreamRequests.add(1, label, codeOf(status));
      if (status !== undefined) upstreamTimes.add(milliseconds / 1000, label);
    },
    onToken: (result) => tokens.add(1, result),
    onFillEnd({ result, kind, bytes }) {
      fills.add(1, result);
      fillBytes.add(bytes, kind);
      reference[kind].pulled.value += bytes;
    },
    onEvicted(bytes, unused) {
      evictions.add(1);
      evictedBytes.add(bytes);
      evictionAges.add(unused / 1000);
    },
    onTunnel(client) {
      tunnels.add(1);
      openTunnels += 1;
      client.once('close', () => {
        openTunnels -= 1;
      });
    },
  };
}

function kindOf(cacheType: Exchange['outcome']['cacheType']): Kind {
  if (cacheType === 'unknown') return 'other';
  return cacheType.startsWith('blob') ? 'blob' : 'manifest';
}

/** Upstream chooses its statuses: only known ones have labels of their own. */
function codeOf(status: number | undefined): Code {
  if (status === undefined) return 'none';
  return CODES.get(status) ?? CLASSES[Math.floor(status / 100)] ?? 'none';
}

/** Every count is there from the start. */
function add(count: Count | undefined, value: number): void {
  if (count !== undefined) count.value += value;
}
