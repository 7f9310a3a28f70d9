import { parseListenAddress } from '../listen-address.ts';
import { parseTimeout } from '../nginx-time.ts';
import type { Setting } from '../setting.ts';

/** Where the proxy listens and how long it takes to leave. */
export const LISTENING = {
  listen: {
    env: 'LISTEN',
    path: 'listen.address',
    parse: parseListenAddress,
    default: '0.0.0.0:3128',
    help: 'Address of the proxy: `host:port`, `[::]:3128`, or a port alone for every IPv4 address.',
    since: '0.1.0',
  },
  shutdownTimeout: {
    env: 'SHUTDOWN_TIMEOUT',
    path: 'listen.shutdown_timeout',
    parse: parseTimeout,
    default: '30s',
    help: 'How long requests under way may still take after SIGTERM before they are cut.',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
