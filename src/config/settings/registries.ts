import { parseCloudRegistries, readCloudRegistries } from '../cloud-registries.ts';
import { parseCredentialsList, readCredentials } from '../credentials-list.ts';
import { parseBoolean, parsePaths, parseVerbatim, readPaths } from '../plain-values.ts';
import { parseRegistryPatterns, readRegistryPatterns } from '../registry-pattern.ts';
import type { Setting } from '../setting.ts';

/** Which registries are intercepted, and with whose credentials. */
export const REGISTRIES = {
  registries: {
    env: 'REGISTRIES',
    path: 'registries.intercept',
    parse: parseRegistryPatterns,
    parseStructure: readRegistryPatterns,
    default: 'registry.k8s.io gcr.io quay.io ghcr.io',
    help: 'Hosts to intercept and cache beside Docker Hub, divided by spaces: `host`, `host:port`, `*.suffix` (every name below), `.suffix` (the name too), `http://host:port` (plain HTTP upstream). The port is 443 unless written, 80 behind `http://`. Every other host is tunnelled untouched.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  credentials: {
    env: 'AUTH_REGISTRIES',
    path: 'registries.credentials',
    parse: (text: string, textOf: (env: string) => string) =>
      parseCredentialsList(text, textOf('AUTH_REGISTRIES_DELIMITER'), textOf('AUTH_REGISTRY_DELIMITER')),
    parseStructure: readCredentials,
    default: '',
    help: "Credentials, `host:user:password` each; the host is the registry or its token service (`auth.docker.io` for Docker Hub, `gitlab.com` for GitLab). `host/repository:user:password` is for the repositories that the pattern matches, e.g. `quay.io/team/*`, and goes before one for the whole host. The two example entries of docker-registry-proxy's image are ignored.",
    secret: true,
    takesEffect: 'reload',
    since: '0.1.0',
  },
  credentialsDelimiter: {
    env: 'AUTH_REGISTRIES_DELIMITER',
    path: 'registries.credentials_delimiter',
    parse: parseVerbatim,
    default: ' ',
    help: 'What divides the entries of `AUTH_REGISTRIES`. Choose another where a password holds spaces, e.g. `;;;`.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  credentialDelimiter: {
    env: 'AUTH_REGISTRY_DELIMITER',
    path: 'registries.credential_delimiter',
    parse: parseVerbatim,
    default: ':',
    help: 'What divides the three parts of an entry of `AUTH_REGISTRIES`, e.g. `:::`.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  dockerConfigs: {
    env: 'AUTH_DOCKER_CONFIG',
    path: 'registries.docker_config',
    parse: parsePaths,
    parseStructure: readPaths,
    default: '',
    help: 'Docker `config.json` files (`auths`, `credHelpers`, `credsStore`), or folders that a Kubernetes secret of the type `kubernetes.io/dockerconfigjson` or `dockercfg` is mounted at, divided by spaces. They are read again when they change. What `AUTH_REGISTRIES` says of the same host wins.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  cloudRegistries: {
    env: 'AUTH_CLOUD',
    path: 'registries.cloud',
    parse: parseCloudRegistries,
    parseStructure: readCloudRegistries,
    default: '',
    help: "Registries of a cloud that are signed in to with the proxy's own identity there, divided by spaces: `ecr=HOST`, `google=HOST` or `azure=HOST`; a `*` in the host stands for one label. See [private registries](../how-to/private-registries.md).",
    takesEffect: 'reload',
    since: '0.1.0',
  },
  allowOwnAuth: {
    env: 'ALLOW_OWN_AUTH',
    path: 'registries.allow_own_auth',
    parse: parseBoolean,
    default: 'true',
    help: "Accepted and without effect: a client's own credentials always win over those of `AUTH_REGISTRIES`.",
    takesEffect: 'reload',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
