import { parseBoolean, parseCount } from '../plain-values.ts';
import type { Setting } from '../setting.ts';

/** Pushes, and how upstream is reached. */
export const PASSING = {
  allowPush: {
    env: 'ALLOW_PUSH',
    path: 'push.allowed',
    parse: parseBoolean,
    default: 'false',
    help: 'Whether images may be pushed through the proxy; otherwise POST, PUT, PATCH and DELETE answer 405.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  allowPushWithOwnAuth: {
    env: 'ALLOW_PUSH_WITH_OWN_AUTH',
    path: 'push.allowed_with_own_auth',
    parse: parseBoolean,
    default: 'false',
    help: "Whether images may be pushed by clients that send credentials of their own; the proxy's are then not used for pushes.",
    takesEffect: 'reload',
    since: '0.1.0',
  },
  proxyRequestBuffering: {
    env: 'PROXY_REQUEST_BUFFERING',
    path: 'push.buffering',
    parse: parseBoolean,
    default: 'true',
    help: 'Whether a pushed body is received whole, on disk within the bounds of the cache, before it goes upstream; otherwise it goes on as it comes.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  cachePushed: {
    env: 'CACHE_PUSHED',
    path: 'push.cached',
    parse: parseBoolean,
    default: 'true',
    help: 'Whether what is pushed is kept in the cache once the registry has accepted it; needs `PROXY_REQUEST_BUFFERING=true`. Who may pull it is asked of the registry as ever.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  rateLimitReserve: {
    env: 'RATE_LIMIT_RESERVE',
    path: 'upstream.rate_limit_reserve',
    parse: parseCount,
    default: '10',
    help: "How many pulls of a registry's rate limit are kept back for content that is not cached; when so few are left, cached tags are served without being checked.",
    takesEffect: 'reload',
    since: '0.1.0',
  },
  offline: {
    env: 'OFFLINE',
    path: 'upstream.offline',
    parse: parseBoolean,
    default: 'false',
    help: 'Whether everything is answered from the cache alone and no registry is asked.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
