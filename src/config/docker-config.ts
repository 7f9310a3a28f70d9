import * as v from 'valibot';
import { BreakwaterError } from '../registry/errors.ts';
import { parseGlob, type GlobMatcher } from './glob.ts';
import { Secret } from './secret.ts';

/** A login that a Docker configuration holds. */
interface DockerLogin {
  /** `host` or `host:port`; a label of it may be `*`, as in Kubernetes. */
  readonly host: string;
  /** Where the key had a path behind the host, as podman writes it. */
  readonly repository: GlobMatcher | undefined;
  readonly kind: 'password' | 'refresh-token';
  readonly username: string;
  readonly secret: Secret;
}

/** What a Docker `config.json`, podman's `auth.json` or a Kubernetes secret says of logins. */
export interface DockerConfig {
  /** Those for longer paths first. */
  readonly logins: readonly DockerLogin[];
  /** Names of credential helpers by host. */
  readonly helpers: ReadonlyMap<string, string>;
  /** The helper for every other host. */
  readonly store: string | undefined;
}

const word = v.optional(v.string(), '');
const AUTH = v.object({ auth: word, username: word, password: word, identitytoken: word });
const AUTHS = v.record(v.string(), AUTH);
const HELPER = v.pipe(v.string(), v.regex(/^[\w.-]+$/));
const CONFIG = v.object({
  auths: v.optional(AUTHS, {}),
  credHelpers: v.optional(v.record(v.string(), HELPER), {}),
  credsStore: v.optional(v.union([v.literal(''), HELPER])),
});
const SECTIONS = ['auths', 'credHelpers', 'credsStore'];

/**
 * Parses the JSON of a Docker `config.json`, or of the older `.dockercfg`, which is its `auths` alone.
 * @param file for messages, which quote nothing that it holds.
 * @throws `SETTING_INVALID`.
 */
export function parseDockerConfig(file: string, text: string): DockerConfig {
  const value = parseJson(file, text);
  const isOld = typeof value === 'object' && value !== null && !SECTIONS.some((section) => section in value);
  // a list would count as a mapping without keys
  if (Array.isArray(value)) throw unusable(file, 'it is a list');
  const result = v.safeParse(CONFIG, isOld && hasLogins(value) ? { auths: value } : value);
  if (!result.success) {
    const places = result.issues.map((issue) => v.getDotPath(issue) ?? 'the whole');
    throw unusable(file, `it is not a Docker configuration at ${[...new Set(places)].join(', ')}`);
  }
  const { auths, credHelpers, credsStore = '' } = result.output;
  return {
    logins: Object.entries(auths)
      .flatMap(([key, auth]) => loginOf(file, key, auth) ?? [])
      .sort((a, b) => (b.repository?.source.length ?? 0) - (a.repository?.source.length ?? 0)),
    helpers: new Map(Object.entries(credHelpers).map(([key, helper]) => [splitKey(key).host, helper])),
    store: credsStore === '' ? undefined : credsStore,
  };
}

/** A `config.json` without any of the sections has settings of the client alone. */
function hasLogins(value: object): boolean {
  return Object.values(value).every((entry) => typeof entry === 'object' && entry !== null);
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // the parser's message quotes the text
    throw unusable(file, 'it is not JSON');
  }
}

function loginOf(file: string, key: string, auth: v.InferOutput<typeof AUTH>): DockerLogin | undefined {
  const { host, path } = splitKey(key);
  const decoded = Buffer.from(auth.auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = decoded.indexOf(':');
  if (auth.auth !== '' && colon < 0) throw unusable(file, `auths.${key}.auth is not user:password in base64`);
  const username = auth.auth === '' ? auth.username : decoded.slice(0, colon);
  const password = auth.auth === '' ? auth.password : decoded.slice(colon + 1);
  const kind = auth.identitytoken === '' ? 'password' : 'refresh-token';
  const secret = auth.identitytoken === '' ? password : auth.identitytoken;
  // an entry without a login says that the helper has it
  if (secret === '') return undefined;
  const repository = path === '' ? undefined : parseGlob(`/^${RegExp.escape(path)}(/|$)/`);
  return { host, repository, kind, username, secret: new Secret(secret) };
}

/** Keys are hosts, URLs such as `https://index.docker.io/v1/`, or hosts with a path. */
function splitKey(key: string): { host: string; path: string } {
  const [host = '', ...parts] = key.replace(/^https?:\/\//i, '').split('/');
  const path = parts.filter((part) => part !== '').join('/');
  return { host: host.toLowerCase().replace(/:443$/, ''), path: /^v[12]$/.test(path) ? '' : path };
}

function unusable(file: string, reason: string): BreakwaterError {
  return new BreakwaterError('SETTING_INVALID', `${file}: ${reason}`, {
    mend: 'Write it as "docker login" or "kubectl create secret docker-registry" does.',
  });
}
