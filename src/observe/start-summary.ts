import type { Config } from '../config/config.ts';
import { configWarnings } from '../config/warnings.ts';

/** What the summary says of the CA. */
interface CaFacts {
  readonly subject: string;
  readonly fingerprint256: string;
  readonly notAfter: Date;
  readonly created: boolean;
}

export interface StartFacts {
  readonly version: string;
  readonly address: string;
  /** That of the admin listener, where there is one. */
  readonly admin: string | undefined;
  readonly config: Config;
  readonly ca: CaFacts;
  /** Whether nothing can be written to the cache. */
  readonly readOnly: boolean;
  readonly cached: { readonly objects: number; readonly bytes: number };
}

/** The lines a person reads when the proxy has started; no secret is in them. */
export function startSummary(facts: StartFacts): string {
  const { version, address, admin, config, ca, cached, readOnly } = facts;
  const rows: readonly (readonly [string, string])[] = [
    ['listening on', address],
    ['admin', admin === undefined ? 'none' : `http://${admin}`],
    ['clients', describeClients(config)],
    [
      'CA',
      `${ca.subject}${ca.created ? ' (made just now)' : ''}, until ${ca.notAfter.toISOString().slice(0, 10)}`,
    ],
    ['CA SHA-256', ca.fingerprint256],
    [
      'registries',
      ['registry-1.docker.io', 'auth.docker.io', ...config.registries.map(describePattern)].join(' '),
    ],
    ['credentials', describeCredentials(config)],
    ...(holdsCredentials(config) ? [['private images', describePrivate(config)] as const] : []),
    [
      'cache',
      `${config.cacheDir}: ${cached.objects} objects, ${formatBytes(cached.bytes)} of ${formatBytes(config.cacheMaxSize)}${readOnly ? ', read-only' : ''}`,
    ],
    ['tags', describeTags(config)],
    ['push', describePush(config)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const warnings = configWarnings(config).map((warning) => `warning: ${warning}`);
  return [
    `Breakwater ${version}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    ...warnings,
    '',
  ].join('\n');
}

function describeCredentials({ credentials, dockerConfigs, cloudRegistries }: Config): string {
  const listed = credentials.map(({ host, repository, username }) => {
    const subject = repository === undefined ? host : `${host}/${repository.source}`;
    return `${subject} (${username}:[redacted])`;
  });
  const cloud = cloudRegistries.map(({ provider, host }) => `${host} (${provider})`);
  return [...listed, ...cloud, ...dockerConfigs].join(', ') || 'none';
}

function describeClients(config: Config): string {
  const { allowClients, denyClients, accessRules } = config;
  const logins = [
    ...(config.proxyUsersFile === undefined ? [] : [`users of ${config.proxyUsersFile}`]),
    ...(config.listenTlsClientCaFile === undefined
      ? []
      : [`certificates of ${config.listenTlsClientCaFile}`]),
  ];
  const parts = [
    ...(allowClients.sources.length === 0 ? [] : [`at ${allowClients.sources.join(' ')}`]),
    ...(denyClients.sources.length === 0 ? [] : [`not at ${denyClients.sources.join(' ')}`]),
    ...(logins.length === 0 ? [] : [logins.join(' or ')]),
    ...(accessRules.length === 0 ? [] : [`as ${accessRules.length} rules say`]),
  ];
  return parts.join(', ') || 'everybody who reaches it';
}

function describePattern({ match, host, port, scheme }: Config['registries'][number]): string {
  const prefix = { exact: '', below: '*.', domain: '.' }[match];
  const shown = host.includes(':') ? `[${host}]` : host;
  const address = port === (scheme === 'https' ? 443 : 80) ? shown : `${shown}:${port}`;
  return `${scheme === 'http' ? 'http://' : ''}${prefix}${address}`;
}

function holdsCredentials({ credentials, dockerConfigs, cloudRegistries }: Config): boolean {
  return credentials.length + dockerConfigs.length + cloudRegistries.length > 0;
}

function describePrivate({ privateImages }: Config): string {
  return {
    shared: 'served to every client where the credentials above open them, and where its own do',
    upstream: 'served to clients that the registry itself admits',
    deny: 'refused to clients without credentials of their own',
  }[privateImages];
}

function describeTags(config: Config): string {
  const { enableManifestCache: tiers, tagCheckInterval: interval } = config;
  const rules = config.tagRules.length === 0 ? '' : `, after ${config.tagRules.length} rules`;
  const often = interval === 0 ? 'on every request' : `at most every ${interval / 1000} s a tag`;
  if (!tiers) return `checked upstream by HEAD ${often}${rules}`;
  const hours = (milliseconds: number): string => `${Number((milliseconds / 3_600_000).toFixed(2))} h`;
  const times = [
    config.manifestCachePrimaryTime,
    config.manifestCacheSecondaryTime,
    config.manifestCacheDefaultTime,
  ];
  return `believed for ${times.map(hours).join(' / ')} by tier${rules}`;
}

function describePush({ allowPush, allowPushWithOwnAuth }: Config): string {
  if (allowPushWithOwnAuth) return "allowed with a client's own credentials";
  return allowPush ? "allowed, also with the proxy's credentials" : 'refused (ALLOW_PUSH=true allows it)';
}

/** Bytes for people, in the powers of 1024 that nginx sizes are in. */
function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power] ?? 'B'}`;
}
