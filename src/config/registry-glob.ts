import { parseGlob, type GlobMatcher } from './glob.ts';

/** The one registry that has other names; its proper name is the one that clients connect to. */
const DOCKER_HUB = 'registry-1.docker.io';
const DOCKER_HUB_NAMES = [DOCKER_HUB, 'docker.io', 'index.docker.io'] as const;

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
