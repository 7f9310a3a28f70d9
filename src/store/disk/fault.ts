import { BreakwaterError } from '../../registry/errors.ts';

/** Names a failure of the disk; the pull it happens in goes on without the cache. */
export function diskFault(cause: unknown, doing: string): BreakwaterError {
  if (cause instanceof BreakwaterError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BreakwaterError('STORE_UNAVAILABLE', `${doing}: ${reason}`, { cause });
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
