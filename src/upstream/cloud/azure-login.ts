import { readFile } from 'node:fs/promises';
import { Secret } from '../../config/secret.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import { registryUrl, type RegistryHost } from '../../registry/registry-host.ts';
import type { FetchedLogin } from '../credential-source.ts';
import type { Lease } from '../renewed.ts';
import { parseRefreshToken, readSmallBody } from '../token-answer.ts';
import type { Transport } from '../transport.ts';

const RESOURCE = 'https://containerregistry.azure.net';
const AUTHORITY = 'https://login.microsoftonline.com/';
/** The name that goes with a token in place of a user (Azure's documentation of `az acr login --expose-token`). */
const TOKEN_USER = '00000000-0000-0000-0000-000000000000';
/** Milliseconds for which a registry's refresh token counts; it lives for three hours. */
const LIFETIME_MS = 2 * 3_600_000;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A login for Azure Container Registry by the identity that the usual variables of Azure name: a workload identity,
 * a service principal, or else the managed identity of the machine. Its token is exchanged at the registry for a
 * refresh token (Azure/acr, `docs/AAD-OAuth.md`).
 */
export async function azureLogin(
  registry: RegistryHost,
  transport: Transport,
  env: Environment,
): Promise<Lease<FetchedLogin>> {
  const accessToken = await accessTokenOf(env);
  const form = new URLSearchParams({
    grant_type: 'access_token',
    service: registry.host,
    access_token: accessToken,
    ...(env['AZURE_TENANT_ID'] === undefined ? {} : { tenant: env['AZURE_TENANT_ID'] }),
  });
  const answer = await transport.send({
    url: registryUrl(registry, '/oauth2/exchange'),
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
  });
  const secret = parseRefreshToken(await readSmallBody(answer.body, registry.name));
  if (answer.status !== 200 || secret === undefined) {
    const reason = `${registry.name} exchanged no token (status ${answer.status})`;
    throw new BreakwaterError('CREDENTIALS_UNAVAILABLE', reason);
  }
  return {
    value: { kind: 'refresh-token', username: TOKEN_USER, secret: new Secret(secret) },
    lifetime: LIFETIME_MS,
  };
}

async function accessTokenOf(env: Environment): Promise<string> {
  const { ConfidentialClientApplication, ManagedIdentityApplication } = await import('@azure/msal-node');
  const {
    AZURE_CLIENT_ID: clientId,
    AZURE_TENANT_ID: tenant,
    AZURE_CLIENT_SECRET: clientSecret,
    AZURE_FEDERATED_TOKEN_FILE: tokenFile,
    AZURE_AUTHORITY_HOST: host = AUTHORITY,
  } = env;
  if (clientId === undefined || tenant === undefined || (clientSecret ?? tokenFile) === undefined) {
    const managed = new ManagedIdentityApplication(
      clientId === undefined ? {} : { managedIdentityIdParams: { userAssignedClientId: clientId } },
    );
    return (await managed.acquireToken({ resource: RESOURCE })).accessToken;
  }
  const authority = new URL(tenant, host);
  const application = new ConfidentialClientApplication({
    auth: {
      clientId,
      authority: authority.href,
      // one that Microsoft's list of clouds does not have is the user's own word
      ...(host === AUTHORITY ? {} : { knownAuthorities: [authority.host] }),
      ...(tokenFile === undefined
        ? { clientSecret: clientSecret ?? '' }
        : { clientAssertion: async () => (await readFile(tokenFile, 'utf8')).trim() }),
    },
  });
  const scopes = [`${RESOURCE}/.default`];
  const result = await application.acquireTokenByClientCredential({ scopes });
  if (result === null) throw new BreakwaterError('CREDENTIALS_UNAVAILABLE', 'Azure gave no token');
  return result.accessToken;
}
