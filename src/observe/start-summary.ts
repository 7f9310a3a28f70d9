import type { Config } from '../config/config.ts';

/** What the summary says of the CA. */
export interface CaFacts {
  readonly subject: string;
  readonly fingerprint256: string;
  readonly notAfter: Date;
  readonly created: boolean;
}

export interface StartFacts {
  readonly version: string;
  readonly address: string;
  readonly config: Config;
  readonly ca: CaFacts;
  readonly cached: { readonly objects: number; readonly bytes: number };
}

/** The lines a person reads when the proxy has started; no secret is in them. */
export function startSummary({ version, address, config, ca, cached }: StartFacts): string {
  const rows: readonly (readonly [string, string])[] = [
    ['listening on', address],
    [
      'CA',
      `${ca.subject}${ca.created ? ' (made just now)' : ''}, until ${ca.notAfter.toISOString().slice(0, 10)}`,
    ],
    ['CA SHA-256', ca.fingerprint256],
    [
      'registries',
      ['registry-1.docker.io', 'auth.docker.io', ...config.registries.map(describePattern)].join(' '),
    ],
    [
      'credentials',
      config.credentials.map(({ host, username }) => `${host} (${username}:[redacted])`).join(', ') || 'none',
    ],
    [
      'cache',
      `${config.cacheDir}: ${cached.objects} objects, ${formatBytes(cached.bytes)} of ${formatBytes(config.cacheMaxSize)}`,
    ],
    ['tags', describeTags(config)],
    ['push', config.allowPush ? 'allowed' : 'refused (ALLOW_PUSH=true allows it)'],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const warnings = [
    ...(config.verifySsl ? [] : ['warning: VERIFY_SSL=false: upstream certificates are not checked']),
    ...(config.credentials.length === 0
      ? []
      : ['warning: what the configured credentials open is served to every client that reaches this proxy']),
  ];
  return [
    `Breakwater ${version}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    ...warnings,
    '',
  ].join('\n');
}

function describePattern({ match, host, port, scheme }: Config['registries'][number]): string {
  const prefix = { exact: '', below: '*.', domain: '.' }[match];
  const address = port === (scheme === 'https' ? 443 : 80) ? host : `${host}:${port}`;
  return `${scheme === 'http' ? 'http://' : ''}${prefix}${address}`;
}

function describeTags(config: Config): string {
  if (!config.enableManifestCache) {
    const seconds = config.tagCheckInterval / 1000;
    return `checked upstream by HEAD ${seconds === 0 ? 'on every request' : `at most every ${seconds} s`}`;
  }
  const hours = (milliseconds: number): string => `${Number((milliseconds / 3_600_000).toFixed(2))} h`;
  return `cached ${hours(config.manifestCachePrimaryTime)} / ${hours(config.manifestCacheSecondaryTime)} / ${hours(config.manifestCacheDefaultTime)} by tier`;
}

/** Bytes for people, in the powers of 1024 that nginx sizes are in. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power] ?? 'B'}`;
}
