import { Secret } from '../../config/secret.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { FetchedLogin } from '../credential-source.ts';
import type { Lease } from '../renewed.ts';

/** `123456789012.dkr.ecr.eu-west-1.amazonaws.com`, its FIPS and dual-stack forms, and China's. */
const REGION = /\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\./;
/** Milliseconds that a token lives where its answer does not say. */
const LIFETIME_MS = 12 * 3_600_000;

/**
 * A login for Amazon ECR by the identity that the AWS SDK finds: access keys, a web identity (IRSA), a container's
 * or an instance's role. The region is the one in the host's name, or else the SDK's own.
 */
export async function ecrLogin(host: string): Promise<Lease<FetchedLogin>> {
  const { ECRClient, GetAuthorizationTokenCommand } = await import('@aws-sdk/client-ecr');
  const region = REGION.exec(host)?.[1];
  const client = new ECRClient(region === undefined ? {} : { region });
  try {
    const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
    const { authorizationToken = '', expiresAt } = authorizationData?.[0] ?? {};
    const [username = '', secret = ''] = Buffer.from(authorizationToken, 'base64')
      .toString('utf8')
      .split(':');
    if (secret === '') throw new BreakwaterError('CREDENTIALS_UNAVAILABLE', `AWS gave no token for ${host}`);
    const lifetime = expiresAt === undefined ? LIFETIME_MS : expiresAt.getTime() - Date.now();
    return { value: { kind: 'password', username, secret: new Secret(secret) }, lifetime };
  } finally {
    client.destroy();
  }
}
