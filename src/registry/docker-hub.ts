/** The one registry that has other names; its proper name is the one that clients connect to. */
export const DOCKER_HUB = 'registry-1.docker.io';
export const DOCKER_HUB_NAMES: readonly string[] = [DOCKER_HUB, 'docker.io', 'index.docker.io'];
/** Its token service. */
export const DOCKER_HUB_REALM = 'auth.docker.io';
