import type { Config } from '../config/config.ts';
import type { RepositoryName, Tag } from '../registry/name.ts';
import type { CacheType } from './status.ts';

/** How long a tag is believed, and what happens after; all times in milliseconds since it was last checked. */
export interface TagPolicy {
  readonly type: CacheType;
  /** Served without asking upstream. */
  readonly fresh: number;
  /** After that: served at once, while one check runs in the background. */
  readonly grace: number;
  /** After that: served where upstream cannot answer. */
  readonly stale: number;
  /** Whether a tag in use is checked before its time is over. */
  readonly refresh: boolean;
}

/** The policy of each tag: the first rule that matches, then the tiers of the manifest cache, if they are on. */
export type TagPolicyFor = (registry: string, repository: RepositoryName, tag: Tag) => TagPolicy;

export function createTagPolicy(config: Config): TagPolicyFor {
  const stale = config.tagStaleTime;
  const tier = (type: CacheType, fresh: number): TagPolicy => ({
    type,
    fresh,
    grace: 0,
    stale,
    refresh: false,
  });
  const primary = tier('manifest-primary', config.manifestCachePrimaryTime);
  const secondary = tier('manifest-secondary', config.manifestCacheSecondaryTime);
  const others = tier('manifest-default', config.manifestCacheDefaultTime);
  const unset = tier('manifest-default-disabled', config.tagCheckInterval);

  function byTier(tag: Tag): TagPolicy {
    if (!config.enableManifestCache) return unset;
    if (config.manifestCachePrimaryRegex.matches(tag)) return primary;
    return config.manifestCacheSecondaryRegex.matches(tag) ? secondary : others;
  }

  return (registry, repository, tag) => {
    const base = byTier(tag);
    const rule = config.tagRules.find(
      (candidate) =>
        (candidate.registry?.matches(registry) ?? true) &&
        (candidate.repository?.matches(repository) ?? true) &&
        (candidate.tag?.matches(tag) ?? true),
    );
    if (rule === undefined) return base;
    return {
      type: base.type,
      fresh: rule.revalidate === true ? 0 : (rule.fresh ?? base.fresh),
      grace: rule.grace ?? 0,
      stale: rule.stale ?? base.stale,
      refresh: rule.refresh ?? false,
    };
  };
}
