import { Secret } from '../../config/secret.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import type { FetchedLogin } from '../credential-source.ts';
import type { Lease } from '../renewed.ts';

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
/** Milliseconds for which a token counts that does not say how long it lives. */
const LIFETIME_MS = 5 * 60_000;

/**
 * A login for Google's registries by the identity that Google's library finds (Application Default Credentials):
 * the key of a service account, a workload identity, or the metadata server's.
 */
export async function googleLogin(host: string): Promise<Lease<FetchedLogin>> {
  const { GoogleAuth } = await import('google-auth-library');
  // made anew each time, as a key file may be another one by now
  const client = await new GoogleAuth({ scopes: [SCOPE] }).getClient();
  const { token } = await client.getAccessToken();
  if (typeof token !== 'string')
    throw new BreakwaterError('CREDENTIALS_UNAVAILABLE', `Google gave no token for ${host}`);
  const endsAt = client.credentials.expiry_date;
  return {
    value: { kind: 'password', username: 'oauth2accesstoken', secret: new Secret(token) },
    lifetime: typeof endsAt === 'number' ? endsAt - Date.now() : LIFETIME_MS,
  };
}
