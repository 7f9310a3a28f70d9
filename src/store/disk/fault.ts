import { BreakwaterError } from '../../registry/errors.ts';

/** Names a failure of the disk; the pull it happens in goes on without the cache. */
export function diskFault(cause: unknown, doing: string): BreakwaterError {
  if (cause instanceof BreakwaterError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BreakwaterError('STORE_UNAVAILABLE', `${doing}: ${reason}`, { cause });
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

/** True where something is there and may not be written, by this user or by anybody. */
export function isWriteRefusal(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
}

/** True where the medium itself refused to give bytes back. */
export function isUnreadable(error: unknown): boolean {
  return codeOf(error) === 'EIO';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
