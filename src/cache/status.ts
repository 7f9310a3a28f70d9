/** How an answer came about, in nginx's words for `$upstream_cache_status`. */
export type CacheStatus = 'HIT' | 'MISS' | 'EXPIRED' | 'STALE' | 'UPDATING' | 'REVALIDATED' | 'BYPASS';

/** What kind of thing was asked for, in the reference's words for its `request_type`. */
export type CacheType =
  | 'blob-by-digest'
  | 'manifest-by-digest'
  | 'manifest-primary'
  | 'manifest-secondary'
  | 'manifest-default'
  | 'manifest-default-disabled'
  | 'blob-mutable'
  | 'unknown';
