/** One metric, declared once; the exposition and the reference page are made from it. */
export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One sentence, as people read it beside the figure. */
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/** Seconds: from a hit in memory to a layer over a slow line. */
const REQUEST_TIMES = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300];
/** Seconds until a registry's headers are there. */
const UPSTREAM_TIMES = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
/** Seconds: a minute, an hour, six, a day, a week, thirty days. */
const AGES = [60, 3_600, 21_600, 86_400, 604_800, 2_592_000];

const ASKED = ['registry', 'kind', 'cache_status'];
const TYPE = ['type'];

/** Every metric, by its name; no label's values come from clients or upstream. */
export const METRICS = {
  breakwater_build_info: gauge('Always 1; the labels say what runs.', ['version', 'node']),
  breakwater_requests_total: counter('Requests to registries that were answered or left.', ASKED),
  breakwater_response_bytes_total: counter('Body bytes sent to clients.', ASKED),
  breakwater_responses_total: counter('Answers to clients, by the class of their status.', [
    'registry',
    'code',
  ]),
  breakwater_request_duration_seconds: histogram(
    'Time from a request to the end of its answer.',
    ['kind'],
    REQUEST_TIMES,
  ),
  breakwater_requests_active: gauge("Requests that are being answered, the proxy's own pages included."),
  breakwater_bytes_saved_total: counter('Body bytes sent to clients that no registry had to send for them.', [
    'registry',
  ]),
  breakwater_cache_coalesced_total: counter(
    "Requests that were answered from another client's fetch while it was under way.",
    ['registry'],
  ),
  breakwater_fills_total: counter('Fetches of objects into the cache that ended.', ['result']),
  breakwater_fills_active: gauge('Fetches of objects into the cache that are under way.'),
  breakwater_fill_bytes_total: counter('Bytes that such fetches brought.', ['kind']),
  breakwater_cache_size_bytes: gauge('Bytes of the objects in the cache.'),
  breakwater_cache_max_size_bytes: gauge('Bytes that they may take (`CACHE_MAX_SIZE`).'),
  breakwater_cache_entries: gauge('Objects in the cache.'),
  breakwater_cache_evictions_total: counter('Objects that had to make room for others.'),
  breakwater_cache_evicted_bytes_total: counter('Their bytes.'),
  breakwater_cache_eviction_age_seconds: histogram('Time since anybody had asked for them.', [], AGES),
  breakwater_store_faults_total: counter('Operations of the disk or the index that failed.'),
  breakwater_store_degraded: gauge('1 from such a failure until something is stored again, else 0.'),
  breakwater_upstream_requests_total: counter('Requests to upstream hosts, by the answer.', [
    'registry',
    'code',
  ]),
  breakwater_upstream_duration_seconds: histogram(
    "Time until the headers of an upstream host's answer.",
    ['registry'],
    UPSTREAM_TIMES,
  ),
  breakwater_upstream_ratelimit_limit: gauge(
    'Pulls that a registry allows in its window; absent until it says so.',
    ['registry', 'identity'],
  ),
  breakwater_upstream_ratelimit_remaining: gauge(
    'Pulls that were left when it last said so; of several clients the least.',
    ['registry', 'identity'],
  ),
  breakwater_auth_token_requests_total: counter(
    "Tokens that the proxy needed from token services, in its own name or in nobody's.",
    ['result'],
  ),
  breakwater_tunnels_active: gauge('Tunnels to hosts that are not intercepted, open now.'),
  breakwater_tunnels_total: counter('Tunnels that were asked for.'),
  breakwater_ca_not_after_timestamp_seconds: gauge("When the CA's certificate ends, as Unix time."),
  registry_proxy_requests_total: counter("As distribution's cache: requests.", TYPE),
  registry_proxy_hits_total: counter("As distribution's cache: requests answered from it.", TYPE),
  registry_proxy_misses_total: counter("As distribution's cache: requests that had to be fetched.", TYPE),
  registry_proxy_pulled_bytes_total: counter("As distribution's cache: bytes from upstream.", TYPE),
  registry_proxy_pushed_bytes_total: counter("As distribution's cache: bytes to clients.", TYPE),
  process_cpu_seconds_total: counter('Processor time of the process, user and system.'),
  process_resident_memory_bytes: gauge('Memory of the process.'),
  process_start_time_seconds: gauge('When the process started, as Unix time.'),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

function counter(help: string, labels: readonly string[] = []): Metric {
  return { type: 'counter', help, labels };
}

function gauge(help: string, labels: readonly string[] = []): Metric {
  return { type: 'gauge', help, labels };
}

function histogram(help: string, labels: readonly string[], buckets: readonly number[]): Metric {
  return { type: 'histogram', help, labels, buckets };
}

/** What the values of a label mean, for the reference page. */
export const LABELS = {
  registry: {
    values: undefined,
    help: 'The entry of `REGISTRIES` that the host falls under, as it is written there, `registry-1.docker.io` or `auth.docker.io`; any other host is `other`.',
  },
  kind: {
    values: ['blob', 'manifest', 'other'],
    help: 'What was asked for. Pings, tokens, lists and pushes are `other`.',
  },
  cache_status: {
    values: ['HIT', 'MISS', 'EXPIRED', 'STALE', 'UPDATING', 'REVALIDATED', 'BYPASS', 'NONE'],
    help: 'As in the [access log](log-format.md); `NONE` where it is empty there.',
  },
  code: {
    values: ['2xx', '3xx', '4xx', '401', '403', '404', '429', '5xx', 'none'],
    help: 'The status, or its class where it is not one of these; `none` where no answer came about.',
  },
  result: {
    values: undefined,
    help: 'Of a fetch: `stored`, `corrupt` (the bytes were not those of the digest), `unstored` (the cache could not take it) or `failed`. Of a token: `granted`, `refused` or `failed`.',
  },
  identity: {
    values: ['proxy', 'anonymous', 'nobody', 'client'],
    help: "Whose limit it is: that of the proxy's credentials, of tokens without any, of requests without a token, or of a client's own credentials.",
  },
  type: { values: ['blob', 'manifest'], help: 'As `kind`.' },
  version: { values: undefined, help: "Breakwater's version." },
  node: { values: undefined, help: "Node's version." },
} as const satisfies Record<
  string,
  { readonly values: readonly string[] | undefined; readonly help: string }
>;
