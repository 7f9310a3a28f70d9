import type { Config } from '../config/config.ts';
import type { Tag } from '../registry/name.ts';
import type { CacheType } from './status.ts';

/** How long a tag is served without asking upstream. */
export interface Freshness {
  readonly type: CacheType;
  /** Milliseconds; 0 means that upstream is asked every time. */
  readonly lifetime: number;
}

/** The freshness of each tag by the three tiers of the manifest cache; the first that matches wins. */
export function createFreshness(config: Config): (tag: Tag) => Freshness {
  if (!config.enableManifestCache) return () => ({ type: 'manifest-default-disabled', lifetime: 0 });
  const primary: Freshness = { type: 'manifest-primary', lifetime: config.manifestCachePrimaryTime };
  const secondary: Freshness = { type: 'manifest-secondary', lifetime: config.manifestCacheSecondaryTime };
  const others: Freshness = { type: 'manifest-default', lifetime: config.manifestCacheDefaultTime };
  return (tag) => {
    if (config.manifestCachePrimaryRegex.matches(tag)) return primary;
    return config.manifestCacheSecondaryRegex.matches(tag) ? secondary : others;
  };
}
