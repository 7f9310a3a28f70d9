import { LOOPBACK } from './address-set.ts';
import type { Config } from './config.ts';
import { SETTINGS } from './settings.ts';

/** Tags that get new content in the life of an image; one a kind that people name so. */
const MOVING_TAGS: readonly { readonly tag: string; readonly shown: string }[] = [
  ...['latest', '22.04', '3.19', '3.11-slim', '1.25'].map((tag) => ({ tag, shown: tag })),
  // The signatures of a digest: each further one is added to the same tag.
  { tag: `sha256-${'5f0a'.repeat(16)}.sig`, shown: 'sha256-<hex>.sig' },
];
const DAY = 86_400_000;

type TierTime = 'manifestCachePrimaryTime' | 'manifestCacheSecondaryTime' | 'manifestCacheDefaultTime';
const TIERS: readonly { readonly time: TierTime; readonly mend: string }[] = [
  { time: 'manifestCachePrimaryTime', mend: 'narrow MANIFEST_CACHE_PRIMARY_REGEX, or add TAG_RULES' },
  { time: 'manifestCacheSecondaryTime', mend: 'narrow MANIFEST_CACHE_SECONDARY_REGEX, or add TAG_RULES' },
  { time: 'manifestCacheDefaultTime', mend: 'shorten it, or add TAG_RULES' },
];

/** What is allowed and yet may not be what was meant; one sentence each, without a secret and without a full stop. */
export function configWarnings(config: Config): readonly string[] {
  return [
    ...frozenTags(config),
    ...(config.verifySsl
      ? []
      : [
          'VERIFY_SSL=false: the certificates of registries are not verified; EXTRA_CA_FILE is the safer way',
        ]),
    ...openDoor(config),
    ...usersOfNoList(config),
    ...heldCredentials(config),
    ...sharedPushes(config),
    ...(config.offline
      ? ['OFFLINE=true: no registry is asked, and what is not cached cannot be pulled']
      : []),
  ];
}

/** The moving tags that a tier of the manifest cache keeps as they are for longer than a day. */
function frozenTags(config: Config): readonly string[] {
  if (!config.enableManifestCache) return [];
  return TIERS.flatMap(({ time, mend }) => {
    const frozen = MOVING_TAGS.filter(({ tag }) => tierOf(config, tag) === time).map(({ shown }) => shown);
    if (frozen.length === 0 || config[time] <= DAY) return [];
    const days = Number((config[time] / DAY).toFixed(1));
    return [
      `tags that move, such as ${listText(frozen)}, are served for ${days} days without asking (${SETTINGS[time].env}); ${mend}`,
    ];
  });
}

/** The tier that decides how long a tag is fresh; undefined where a rule for every registry decides it. */
function tierOf(config: Config, tag: string): TierTime | undefined {
  const rule = config.tagRules.find(
    ({ registry, repository, tag: pattern }) =>
      registry === undefined && repository === undefined && (pattern?.matches(tag) ?? true),
  );
  if (rule?.fresh !== undefined || rule?.revalidate === true) return undefined;
  if (config.manifestCachePrimaryRegex.matches(tag)) return 'manifestCachePrimaryTime';
  return config.manifestCacheSecondaryRegex.matches(tag)
    ? 'manifestCacheSecondaryTime'
    : 'manifestCacheDefaultTime';
}

/** Everybody may use a proxy that is reached from elsewhere. */
function openDoor(config: Config): readonly string[] {
  const { listen, listenTls, allowClients, proxyUsersFile, accessRules, listenTlsClientCaFile } = config;
  const limited =
    allowClients.sources.length > 0 ||
    accessRules.length > 0 ||
    (proxyUsersFile ?? listenTlsClientCaFile) !== undefined;
  const reached = [...listen, ...(listenTls === undefined ? [] : [listenTls])].some(
    (place) => 'host' in place && !isLoopback(place.host),
  );
  return limited || !reached
    ? []
    : [
        'everybody who reaches this proxy may use it; ALLOW_CLIENTS, PROXY_USERS_FILE or ACCESS_RULES limit it',
      ];
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || LOOPBACK.has(host);
}

function usersOfNoList({ accessRules, proxyUsersFile, listenTlsClientCaFile }: Config): readonly string[] {
  const logins = proxyUsersFile !== undefined || listenTlsClientCaFile !== undefined;
  const named = accessRules.findIndex(({ users }) => users !== undefined);
  if (logins || named === -1) return [];
  return [`rule ${named + 1} of ACCESS_RULES names users, and nobody can log in; set PROXY_USERS_FILE`];
}

function heldCredentials(config: Config): readonly string[] {
  const { credentials, dockerConfigs, cloudRegistries, privateImages } = config;
  if (privateImages !== 'shared') return [];
  const hosts = new Set([...credentials, ...cloudRegistries].map(({ host }) => host));
  const held = [
    ...(hosts.size === 0 ? [] : [`for ${listText([...hosts])}`]),
    ...(dockerConfigs.length === 0 ? [] : [`in ${listText(dockerConfigs)}`]),
  ];
  if (held.length === 0) return [];
  return [
    `what the credentials ${held.join(' and ')} open is served to every client that reaches this proxy, without a login; PRIVATE_IMAGES=upstream leaves it to the registry who may have it`,
  ];
}

function sharedPushes(config: Config): readonly string[] {
  const { allowPush, allowPushWithOwnAuth, credentials, dockerConfigs, cloudRegistries } = config;
  const held = credentials.length + dockerConfigs.length + cloudRegistries.length;
  if (!allowPush || allowPushWithOwnAuth || held === 0) return [];
  return [
    'ALLOW_PUSH=true: every client that reaches this proxy can push with the credentials it holds; ALLOW_PUSH_WITH_OWN_AUTH=true leaves that to their own',
  ];
}

function listText(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
