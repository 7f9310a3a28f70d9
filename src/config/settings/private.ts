import { PRIVATE_IMAGES } from '../../registry/visibility.ts';
import { parseTime } from '../nginx-time.ts';
import { oneOf } from '../plain-values.ts';
import type { Setting } from '../setting.ts';

/** Who is served what not everybody may have. */
export const PRIVATE = {
  privateImages: {
    env: 'PRIVATE_IMAGES',
    path: 'private.images',
    parse: oneOf(...PRIVATE_IMAGES),
    default: 'shared',
    help: 'What becomes of images that only the credentials in `AUTH_REGISTRIES`, `AUTH_DOCKER_CONFIG` or `AUTH_CLOUD` open: `shared` serves them to every client; `upstream` only to clients that the registry itself admits, others get its challenge; `deny` does the same and refuses others with 403. See [security](../explanation/security.md#who-sees-what).',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  privateCheckInterval: {
    env: 'PRIVATE_CHECK_INTERVAL',
    path: 'private.check_interval',
    parse: parseTime,
    default: '60s',
    help: "How long a registry's word that a client's own credentials open a repository counts before it is asked again; `0` asks at every request.",
    takesEffect: 'reload',
    since: '0.1.0',
  },
  privateStaleTime: {
    env: 'PRIVATE_STALE_TIME',
    path: 'private.stale',
    parse: parseTime,
    default: '12h',
    help: 'The same while the registry cannot answer.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
