import { parseCredentialsList, readCredentials } from '../credentials-list.ts';
import { parseBoolean, parseVerbatim } from '../plain-values.ts';
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
    since: '0.1.0',
  },
  credentials: {
    env: 'AUTH_REGISTRIES',
    path: 'registries.credentials',
    parse: (text: string, textOf: (env: string) => string) =>
      parseCredentialsList(text, textOf('AUTH_REGISTRIES_DELIMITER'), textOf('AUTH_REGISTRY_DELIMITER')),
    parseStructure: readCredentials,
    default: '',
    help: "Credentials, `host:user:password` each; the host is the registry or its token service (`auth.docker.io` for Docker Hub, `gitlab.com` for GitLab). The two example entries of docker-registry-proxy's image are ignored.",
    secret: true,
    since: '0.1.0',
  },
  credentialsDelimiter: {
    env: 'AUTH_REGISTRIES_DELIMITER',
    path: 'registries.credentials_delimiter',
    parse: parseVerbatim,
    default: ' ',
    help: 'What divides the entries of `AUTH_REGISTRIES`. Choose another where a password holds spaces, e.g. `;;;`.',
    since: '0.1.0',
  },
  credentialDelimiter: {
    env: 'AUTH_REGISTRY_DELIMITER',
    path: 'registries.credential_delimiter',
    parse: parseVerbatim,
    default: ':',
    help: 'What divides the three parts of an entry of `AUTH_REGISTRIES`, e.g. `:::`.',
    since: '0.1.0',
  },
  allowOwnAuth: {
    env: 'ALLOW_OWN_AUTH',
    path: 'registries.allow_own_auth',
    parse: parseBoolean,
    default: 'true',
    help: "Accepted and without effect: a client's own credentials always win over those of `AUTH_REGISTRIES`.",
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
