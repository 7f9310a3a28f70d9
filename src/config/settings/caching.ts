import { parseSize } from '../nginx-size.ts';
import { parseTime } from '../nginx-time.ts';
import { oneOf, parseBoolean, parsePath } from '../plain-values.ts';
import type { Setting } from '../setting.ts';
import { parseTagPattern } from '../tag-pattern.ts';

/** What is kept on disk, how much of it and for how long. */
export const CACHING = {
  cacheDir: {
    env: 'CACHE_DIR',
    path: 'cache.directory',
    parse: parsePath,
    default: { folder: '/docker_mirror_cache', otherwise: './data/cache' },
    help: 'Folder of the cache; it is made where it is missing.',
    since: '0.1.0',
  },
  cacheMaxSize: {
    env: 'CACHE_MAX_SIZE',
    path: 'cache.max_size',
    parse: parseSize,
    default: '32g',
    help: 'Bytes that the cache may take on disk; units `k m g t`.',
    since: '0.1.0',
  },
  cacheMinFree: {
    env: 'CACHE_MIN_FREE',
    path: 'cache.min_free',
    parse: parseSize,
    default: '0',
    help: 'Bytes that the cache leaves free on its disk; units `k m g t`.',
    since: '0.1.0',
  },
  cacheInactive: {
    env: 'CACHE_INACTIVE',
    aliases: ['CACHE_INACTIVE_TIME'],
    path: 'cache.inactive',
    parse: parseTime,
    default: '60d',
    help: 'What nobody asked for in this time is dropped.',
    since: '0.1.0',
  },
  fillAbandoned: {
    env: 'FILL_ABANDONED',
    path: 'cache.fill_abandoned',
    parse: oneOf('finish', 'keep'),
    default: 'finish',
    help: 'What becomes of a download whose last client has left: `finish` completes it, `keep` stops it and keeps the part to resume from.',
    since: '0.1.0',
  },
  enableManifestCache: {
    env: 'ENABLE_MANIFEST_CACHE',
    path: 'manifests.enabled',
    parse: parseBoolean,
    default: 'false',
    help: 'Whether a tag is answered from the cache within the time of its tier. Without it tags are checked upstream, at most once in `TAG_CHECK_INTERVAL` each, with a HEAD request, which Docker Hub does not count, and the manifest itself still comes from the cache.',
    since: '0.1.0',
  },
  manifestCachePrimaryRegex: {
    env: 'MANIFEST_CACHE_PRIMARY_REGEX',
    path: 'manifests.primary.regex',
    parse: parseTagPattern,
    default: '(stable|nightly|production|test)',
    help: 'Tags of the first tier: a regular expression matched at the start of the tag, so that `test` also takes `testing`. Look-around and back-references are refused.',
    since: '0.1.0',
  },
  manifestCachePrimaryTime: {
    env: 'MANIFEST_CACHE_PRIMARY_TIME',
    path: 'manifests.primary.time',
    parse: parseTime,
    default: '10m',
    help: 'How long a tag of the first tier is answered from the cache.',
    since: '0.1.0',
  },
  manifestCacheSecondaryRegex: {
    env: 'MANIFEST_CACHE_SECONDARY_REGEX',
    path: 'manifests.secondary.regex',
    parse: parseTagPattern,
    default: '(.*)(\\d|\\.)+(.*)(\\d|\\.)+(.*)(\\d|\\.)+',
    help: 'Tags of the second tier, e.g. versions that never change. The default takes any tag with three digits or dots, `22.04` among them.',
    since: '0.1.0',
  },
  manifestCacheSecondaryTime: {
    env: 'MANIFEST_CACHE_SECONDARY_TIME',
    path: 'manifests.secondary.time',
    parse: parseTime,
    default: '60d',
    help: 'How long a tag of the second tier is answered from the cache.',
    since: '0.1.0',
  },
  manifestCacheDefaultTime: {
    env: 'MANIFEST_CACHE_DEFAULT_TIME',
    aliases: ['CACHE_DEFAULT_TIME'],
    path: 'manifests.default_time',
    parse: parseTime,
    default: '1h',
    help: 'How long every other tag is answered from the cache.',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
