import { DOCKER_HUB, DOCKER_HUB_NAMES } from '../registry/docker-hub.ts';
import { parseGlob, type GlobMatcher } from './glob.ts';

/**
 * Compiles a pattern for a registry's name: names in DNS have no case, Docker Hub has more than one, and the usual ports
 * of HTTP and HTTPS may be written or not.
 */
export function parseRegistryGlob(text: string): GlobMatcher {
  const glob = parseGlob(text.startsWith('/') ? text : text.toLowerCase());
  return {
    source: glob.source,
    matches(name) {
      const lower = name.toLowerCase();
      const names = lower === DOCKER_HUB ? DOCKER_HUB_NAMES : [lower];
      return names.flatMap(spellings).some((candidate) => glob.matches(candidate));
    },
  };
}

function spellings(name: string): readonly string[] {
  if (name.endsWith(':80')) return [name, name.slice(0, -':80'.length)];
  return /:\d+$/.test(name) ? [name] : [name, `${name}:443`];
}
