import type { Logger } from 'pino';
import type { CloudRegistry } from '../config/cloud-registries.ts';
import type { Config } from '../config/config.ts';
import type { DockerConfig } from '../config/docker-config.ts';
import { readDockerConfigs } from '../config/docker-config-files.ts';
import { parseHostPort } from '../config/host-port.ts';
import type { RegistryMatcher } from '../config/registry-pattern.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import { registryHost } from '../registry/registry-host.ts';
import { cloudFailure } from './cloud/cloud-failure.ts';
import { azureLogin } from './cloud/azure-login.ts';
import { ecrLogin } from './cloud/ecr-login.ts';
import { googleLogin } from './cloud/google-login.ts';
import { fetchedSource, fixedSource, type CredentialSource, type FetchedLogin } from './credential-source.ts';
import { askDockerHelper } from './docker-helper.ts';
import type { Lease } from './renewed.ts';
import type { Transport } from './transport.ts';

export interface SourceParts {
  readonly transport: Transport;
  readonly matcher: RegistryMatcher;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly now: () => number;
}

/**
 * Makes the sources of the credentials that the settings name: the list first, then Docker's files, then clouds.
 * @throws `SETTING_INVALID` where a file cannot be used.
 */
export async function readCredentialSources(
  { credentials, dockerConfigs, cloudRegistries }: Config,
  parts: SourceParts,
): Promise<readonly CredentialSource[]> {
  const listed = credentials.map(({ host, repository, username, password }) =>
    fixedSource(host, repository, { kind: 'password', username, secret: password }),
  );
  const docker = (await readDockerConfigs(dockerConfigs)).flatMap((config) => dockerSources(config, parts));
  return [...listed, ...docker, ...cloudRegistries.map((registry) => cloudSource(registry, parts))];
}

function dockerSources(
  { logins, helpers, store }: DockerConfig,
  parts: SourceParts,
): readonly CredentialSource[] {
  // Docker asks the helper first, and a login beside it is left from before there was one
  const fixed = logins
    .filter(({ host }) => !helpers.has(host))
    .map(({ host, repository, ...login }) => fixedSource(host, repository, login));
  const helped = [...helpers, ...(store === undefined ? [] : [['*', store] as const])];
  return [...fixed, ...helped.map(([host, name]) => helperSource(host, name, parts))];
}

function helperSource(host: string, name: string, { log, now }: SourceParts): CredentialSource {
  const fetch = (asked: string): Promise<Lease<FetchedLogin>> => askDockerHelper(name, asked);
  return fetchedSource({ host, fetch, onFailure: warnOf(log), now });
}

function cloudSource({ host, provider }: CloudRegistry, parts: SourceParts): CredentialSource {
  const fetch = async (asked: string): Promise<Lease<FetchedLogin>> => {
    try {
      if (provider === 'ecr') return await ecrLogin(asked);
      if (provider === 'google') return await googleLogin(asked);
      return await azureLogin(registryOf(asked, parts), parts.transport, parts.env);
    } catch (thrown) {
      throw cloudFailure(asked, thrown);
    }
  };
  return fetchedSource({ host, fetch, onFailure: warnOf(parts.log), now: parts.now });
}

/** Renewed ahead of time, so what is held still counts; without it the request fails, and says why. */
function warnOf(log: Logger): (thrown: unknown) => void {
  return (thrown) => {
    const reason = asBreakwaterError(thrown).message;
    log.warn({ reason }, 'credentials could not be renewed ahead of time');
  };
}

function registryOf(name: string, { matcher }: SourceParts): ReturnType<typeof registryHost> {
  const { host, port = 443 } = parseHostPort(name) ?? { host: name };
  return registryHost(host, port, matcher.schemeFor(host, port) ?? 'https');
}
