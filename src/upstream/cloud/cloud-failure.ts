import { BreakwaterError } from '../../registry/errors.ts';

/** Anything that may be a key or a token. */
const SECRET = /[\w+/=.~-]{32,}/g;
const MAX_MESSAGE = 300;

/** Names a vendor's failure in its own words, without what may be a secret; the cause, which may hold one, is dropped. */
export function cloudFailure(host: string, thrown: unknown): BreakwaterError {
  if (thrown instanceof BreakwaterError) return thrown;
  const { name, message } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const isMissing = thrown instanceof Error && 'code' in thrown && thrown.code === 'ERR_MODULE_NOT_FOUND';
  if (isMissing) {
    return new BreakwaterError(
      'CREDENTIALS_UNAVAILABLE',
      `the cloud's library for ${host} is not installed`,
      {
        mend: 'Install the optional dependencies: npm ci, without --omit=optional.',
      },
    );
  }
  const said = message.split('\n', 1)[0]?.replaceAll(SECRET, '[redacted]').slice(0, MAX_MESSAGE) ?? '';
  return new BreakwaterError('CREDENTIALS_UNAVAILABLE', `no login for ${host}: ${name}: ${said}`);
}
