import { oneOf, parseBoolean } from '../plain-values.ts';
import type { Setting } from '../setting.ts';

/** What the proxy tells about its work. */
export const DIAGNOSING = {
  logLevel: {
    env: 'LOG_LEVEL',
    path: 'log.level',
    parse: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    default: 'info',
    help: 'Least severe messages that are logged: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  debug: {
    env: 'DEBUG',
    path: 'debug.inspector',
    parse: parseBoolean,
    default: 'false',
    help: 'Whether the inspector of exchanges with clients is on.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  debugHub: {
    env: 'DEBUG_HUB',
    path: 'debug.hub',
    parse: parseBoolean,
    default: 'false',
    help: 'Accepted and recorded; it has no effect yet.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
  debugNginx: {
    env: 'DEBUG_NGINX',
    path: 'debug.nginx',
    parse: parseBoolean,
    default: 'false',
    help: 'Accepted and recorded; it has no effect. `LOG_LEVEL=trace` gives the most verbose log.',
    takesEffect: 'restart',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
