import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomBlob, textContent } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { blobPath, expectError, expectWhole } from './upstream/paths.ts';
import type { Answer } from './upstream/reply.ts';
import type { RecordedRequest } from './upstream/recorded-request.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { knowsSecrets, startScriptedServer, type ScriptedServer } from './upstream/scripted-server.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { upstreamCa } from './upstream/test-tls.ts';
import { createTokenService } from './upstream/token-service.ts';

/** Local stand-ins of the clouds' endpoints: what they are asked is what their own documentation says. */
const closing: (() => Promise<unknown> | void)[] = [];
let folder: string;
/** The cloud's endpoints, in plain text and over TLS. */
let cloud: ScriptedServer;
let secureCloud: ScriptedServer;
let stage: Stage;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-cloud-'));
  cloud = await startScriptedServer();
  secureCloud = await startScriptedServer({ tls: true });
  for (const { host } of [cloud, secureCloud]) knowsSecrets(host);
});

afterEach(async () => {
  await stage.close();
  for (const close of closing.splice(0)) await close();
  await cloud.close();
  await secureCloud.close();
  if (SECRETS.test(stage.proxy.stderr)) throw new Error('a secret was logged');
  rmSync(folder, { recursive: true });
});

/** Every secret of this file has it. */
const SECRETS = /marked-secret/;

const json = (value: unknown, type = 'application/json'): Answer => ({
  status: 200,
  headers: { 'content-type': type },
  content: textContent(JSON.stringify(value)),
});

/** Answers one path of a server. */
function answer(server: ScriptedServer, path: string, reply: (request: RecordedRequest) => Answer): void {
  server.handle((request) => (request.path === path ? reply(request) : undefined));
}

async function start(provider: string, env: Record<string, string>): Promise<ScriptedRegistry> {
  stage = await startStage({ env: ({ host }) => ({ AUTH_CLOUD: `${provider}=${host}`, ...env }) });
  return stage.registry;
}

async function expectPulled(count = 2): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const blob = randomBlob(`${stage.registry.host} ${index}`, 10_000);
    stage.registry.put({ repository: 'team/app', blobs: [blob] });
    expectWhole(await stage.client.get(blobPath('team/app', blob)), blob);
  }
}

describe('Amazon ECR', () => {
  const USERS = { AWS: 'marked-secret-of-ecr' } as const;
  const hours = (count: number): number => Date.now() / 1000 + count * 3600;
  let tokens = 0;

  beforeEach(() => {
    tokens = 0;
    answer(cloud, '/ecr/', () => {
      tokens += 1;
      const authorizationToken = basic('AWS', USERS.AWS).slice(6);
      const data = { authorizationToken, expiresAt: hours(12), proxyEndpoint: 'https://x' };
      return json({ authorizationData: [data] }, 'application/x-amz-json-1.1');
    });
  });

  const env = (): Record<string, string> => ({
    AWS_REGION: 'eu-west-1',
    AWS_ENDPOINT_URL_ECR: `${cloud.origin('127.0.0.1')}/ecr/`,
    AWS_EC2_METADATA_DISABLED: 'true',
    HOME: folder,
  });
  const credential = (): string => String(cloud.requests.find({ path: '/ecr/' })[0]?.headers.authorization);

  test('with access keys; one token for twelve hours', async () => {
    const keys = { AWS_ACCESS_KEY_ID: 'AKIDKEYS', AWS_SECRET_ACCESS_KEY: 'marked-secret-key' };
    const registry = await start('ecr', { ...env(), ...keys });
    registry.protect(basicGuard({ users: USERS }));
    expect((await stage.client.get('/v2/')).status).toBe(200);
    await expectPulled();
    expect(tokens).toBe(1);
    const [request] = cloud.requests.find({ path: '/ecr/' });
    expect(request?.headers['x-amz-target']).toMatch(/\.GetAuthorizationToken$/);
    expect(credential()).toMatch(/^AWS4-HMAC-SHA256 Credential=AKIDKEYS\/\d+\/eu-west-1\/ecr\//);
  });

  test('with a web identity (IRSA)', async () => {
    writeFileSync(join(folder, 'web-identity'), 'marked-secret-web-identity');
    let assertion: string | null = '';
    answer(cloud, '/sts/', ({ form }) => {
      assertion = form.get('WebIdentityToken');
      const expiration = new Date(Date.now() + 3_600_000).toISOString();
      return {
        status: 200,
        headers: { 'content-type': 'text/xml' },
        content: textContent(
          `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>marked-secret-sts</SecretAccessKey><SessionToken>marked-secret-session</SessionToken><Expiration>${expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
        ),
      };
    });
    const registry = await start('ecr', {
      ...env(),
      AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'web-identity'),
      AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/pull',
      AWS_ENDPOINT_URL_STS: `${cloud.origin('127.0.0.1')}/sts/`,
    });
    registry.protect(basicGuard({ users: USERS }));
    await expectPulled();
    expect(assertion).toBe('marked-secret-web-identity');
    expect(credential()).toContain('Credential=ASIAWEB/');
  });

  const role = (): Answer =>
    json({
      Code: 'Success',
      AccessKeyId: 'ASIAROLE',
      SecretAccessKey: 'marked-secret-role',
      Token: 'marked-secret-token',
      Expiration: new Date(Date.now() + 3_600_000).toISOString(),
    });

  test("with an instance's profile", async () => {
    const base = '/latest/meta-data/iam/security-credentials/';
    const text = (value: string): Answer => ({ status: 200, headers: {}, content: textContent(value) });
    answer(cloud, '/latest/api/token', () => text('marked-secret-imds'));
    answer(cloud, base, () => text('pull'));
    answer(cloud, `${base}pull`, role);
    const registry = await start('ecr', {
      ...env(),
      AWS_EC2_METADATA_DISABLED: 'false',
      AWS_EC2_METADATA_SERVICE_ENDPOINT: cloud.origin('127.0.0.1'),
    });
    registry.protect(basicGuard({ users: USERS }));
    await expectPulled();
    expect(credential()).toContain('Credential=ASIAROLE/');
  });

  test("with a container's role", async () => {
    answer(cloud, '/role', role);
    const uri = `${cloud.origin('127.0.0.1')}/role`;
    const registry = await start('ecr', { ...env(), AWS_CONTAINER_CREDENTIALS_FULL_URI: uri });
    registry.protect(basicGuard({ users: USERS }));
    await expectPulled();
    expect(credential()).toContain('Credential=ASIAROLE/');
  });

  test('that gives no login is an outage, and says why without a secret', async () => {
    const keys = { AWS_ACCESS_KEY_ID: 'AKIDKEYS', AWS_SECRET_ACCESS_KEY: 'marked-secret-key' };
    const registry = await start('ecr', { ...env(), ...keys });
    registry.protect(basicGuard({ users: USERS }));
    const body = textContent(
      '{"__type":"UnrecognizedClientException","message":"bad marked-secret-0123456789abcdef0123456789"}',
    );
    cloud.on({ path: '/ecr/' }, { status: 400, body });
    const pulled = await stage.client.get(blobPath('team/app', randomBlob('none', 1)));
    expectError(pulled, 503, 'CREDENTIALS_UNAVAILABLE');
    expect(pulled.body.toString()).toContain('UnrecognizedClientException: bad [redacted]');
  });
});

describe("Google's registries", () => {
  const USERS = { oauth2accesstoken: 'marked-secret-of-google' } as const;

  test('with the metadata server', async () => {
    const token = { access_token: USERS.oauth2accesstoken, expires_in: 3600, token_type: 'Bearer' };
    const flavor = (reply: Answer): Answer => ({
      ...reply,
      headers: { ...reply.headers, 'metadata-flavor': 'Google' },
    });
    answer(cloud, '/computeMetadata/v1/instance', () => flavor(json({})));
    answer(cloud, '/computeMetadata/v1/instance/service-accounts/default/token', () => flavor(json(token)));
    const registry = await start('google', {
      GCE_METADATA_HOST: `127.0.0.1:${cloud.port}`,
      HOME: folder,
    });
    const service = createTokenService(registry, { users: USERS });
    registry.protect(service.guard);
    await expectPulled();
    const asked = cloud.requests.find({ path: /token$/ });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.headers['metadata-flavor']).toBe('Google');
  });

  test("with a service account's key", async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = {
      type: 'service_account',
      client_email: 'pull@project.iam.gserviceaccount.com',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    };
    writeFileSync(join(folder, 'key.json'), JSON.stringify(key));
    writeFileSync(join(folder, 'ca.pem'), await upstreamCa());
    answer(secureCloud, '/token', () =>
      json({ access_token: USERS.oauth2accesstoken, expires_in: 3600, token_type: 'Bearer' }),
    );
    const registry = await start('google', {
      GOOGLE_APPLICATION_CREDENTIALS: join(folder, 'key.json'),
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      HTTPS_PROXY: `http://127.0.0.1:${await tunnelTo(secureCloud)}`,
    });
    registry.protect(createTokenService(registry, { users: USERS }).guard);
    await expectPulled();
    const [request] = secureCloud.requests.find({ path: '/token' });
    expect(request?.headers.host).toBe('oauth2.googleapis.com');
    const claims = String(request?.form.get('assertion')).split('.')[1] ?? '';
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      iss: key.client_email,
      scope: 'https://www.googleapis.com/auth/cloud-platform',
    });
  });
});

describe('Azure Container Registry', () => {
  const REFRESH = 'marked-secret-refresh';
  const ACCESS = 'marked-secret-access';

  /** A registry that exchanges a token of Azure's, and then knows a refresh token (Azure/acr, AAD-OAuth). */
  function protect(registry: ScriptedRegistry): void {
    answer(registry, '/oauth2/exchange', ({ form }) =>
      form.get('grant_type') === 'access_token' && form.get('access_token') === ACCESS
        ? json({ refresh_token: REFRESH })
        : { status: 401, headers: {} },
    );
    const refreshTokens = new Map([[REFRESH, 'azure']]);
    registry.protect(createTokenService(registry, { refreshTokens, field: 'access_token' }).guard);
  }

  test('with a managed identity', async () => {
    // with a slash at its end where the machine's own address is overridden
    const path = '/metadata/identity/oauth2/token/';
    const endsAt = String(Math.floor(Date.now() / 1000) + 3600);
    answer(cloud, path, () => json({ access_token: ACCESS, expires_on: endsAt, token_type: 'Bearer' }));
    const registry = await start('azure', { AZURE_POD_IDENTITY_AUTHORITY_HOST: cloud.origin('127.0.0.1') });
    protect(registry);
    expect((await stage.client.get('/v2/')).status).toBe(200);
    await expectPulled();
    const [request] = cloud.requests.find({ path });
    expect(new URLSearchParams(request?.query).get('resource')).toBe('https://containerregistry.azure.net');
    expect(registry.requests.find({ path: '/oauth2/exchange' })).toHaveLength(1);
  });

  test('with a workload identity', async () => {
    writeFileSync(join(folder, 'ca.pem'), await upstreamCa());
    writeFileSync(join(folder, 'federated'), 'marked-secret-federated\n');
    const base = `${secureCloud.origin()}/tenant`;
    answer(secureCloud, '/tenant/v2.0/.well-known/openid-configuration', () =>
      json({
        issuer: `${base}/v2.0`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        token_endpoint: `${base}/oauth2/v2.0/token`,
        jwks_uri: `${base}/keys`,
      }),
    );
    answer(secureCloud, '/tenant/oauth2/v2.0/token', () =>
      json({ access_token: ACCESS, expires_in: 3600, token_type: 'Bearer' }),
    );
    const registry = await start('azure', {
      AZURE_CLIENT_ID: 'client',
      AZURE_TENANT_ID: 'tenant',
      AZURE_FEDERATED_TOKEN_FILE: join(folder, 'federated'),
      AZURE_AUTHORITY_HOST: `${secureCloud.origin()}/`,
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
    });
    protect(registry);
    await expectPulled();
    const [request] = secureCloud.requests.find({ path: '/tenant/oauth2/v2.0/token' });
    expect(request?.headers['content-type']).toContain('application/x-www-form-urlencoded');
  });
});

/** A proxy whose tunnels, whatever their target, all lead to one server. */
async function tunnelTo({ port }: ScriptedServer): Promise<number> {
  const server: Server = createServer((client) => {
    client.once('data', () => {
      const target = connect(port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(target).pipe(client);
      });
      for (const socket of [client, target]) socket.on('error', () => client.destroy());
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  closing.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}
