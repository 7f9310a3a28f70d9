import { DOCKER_HUB, DOCKER_HUB_NAMES } from '../registry/docker-hub.ts';
import { parseGlob, type GlobMatcher } from './glob.ts';

/** Compiles a pattern for a registry's name: names in DNS have no case, and Docker Hub has more than one. */
export function parseRegistryGlob(text: string): GlobMatcher {
  const glob = parseGlob(text.startsWith('/') ? text : text.toLowerCase());
  return {
    source: glob.source,
    matches(name) {
      const lower = name.toLowerCase();
      return lower === DOCKER_HUB
        ? DOCKER_HUB_NAMES.some((candidate) => glob.matches(candidate))
        : glob.matches(lower);
    },
  };
}
