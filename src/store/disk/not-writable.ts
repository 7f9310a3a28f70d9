import { statSync } from 'node:fs';
import { BreakwaterError } from '../../registry/errors.ts';

/** The failure of writing to a cache folder: whose it is, who wants to write, and the command that mends it. */
export function notWritable(root: string, cause: unknown): BreakwaterError {
  const path = cause instanceof Error && 'path' in cause ? String(cause.path) : root;
  const uid = process.geteuid?.();
  const owner =
    statSync(path, { throwIfNoEntry: false })?.uid ?? statSync(root, { throwIfNoEntry: false })?.uid;
  const isReadOnly = cause instanceof Error && 'code' in cause && cause.code === 'EROFS';
  const reason = isReadOnly
    ? 'its file system is mounted read-only'
    : owner === undefined || uid === undefined || owner === uid
      ? String(cause)
      : `it belongs to uid ${owner}, and the proxy runs as uid ${uid}`;
  const group = process.getegid?.();
  const mend = isReadOnly
    ? `Mount ${root} writable, or set CACHE_DIR to a folder that is.`
    : `chown -R ${uid ?? 'UID'}${group === undefined ? '' : `:${group}`} ${root}` +
      (owner === undefined || owner === uid ? '' : `, or run the proxy as uid ${owner}`);
  const where = path === root ? `CACHE_DIR ${root}` : `CACHE_DIR ${root}: ${path}`;
  return new BreakwaterError('CACHE_UNUSABLE', `${where} cannot be written: ${reason}`, { cause, mend });
}
