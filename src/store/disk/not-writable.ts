import { statSync } from 'node:fs';
import { BreakwaterError } from '../../registry/errors.ts';

/** The failure of writing to a cache folder: whose it is, who wants to write, and the command that mends it. */
export function notWritable(root: string, cause: unknown): BreakwaterError {
  const path = fieldOf(cause, 'path') ?? root;
  const where = path === root ? `CACHE_DIR ${root}` : `CACHE_DIR ${root}: ${path}`;
  if (fieldOf(cause, 'code') === 'EROFS') {
    const mend = `Mount ${root} writable, or set CACHE_DIR to a folder that is.`;
    const reason = 'its file system is mounted read-only';
    return new BreakwaterError('CACHE_UNUSABLE', `${where} cannot be written: ${reason}`, { cause, mend });
  }
  const uid = process.geteuid?.() ?? 'unknown';
  const owner = ownerOf(path) ?? ownerOf(root);
  const isAnothers = owner !== undefined && owner !== uid;
  const reason = isAnothers ? `it belongs to uid ${owner}, and the proxy runs as uid ${uid}` : String(cause);
  const chown = `chown -R ${uid}:${process.getegid?.() ?? ''} ${root}`;
  return new BreakwaterError('CACHE_UNUSABLE', `${where} cannot be written: ${reason}`, {
    cause,
    mend: isAnothers ? `${chown}, or run the proxy as uid ${owner}` : chown,
  });
}

function fieldOf(error: unknown, name: 'path' | 'code'): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const value: unknown = Object.getOwnPropertyDescriptor(error, name)?.value;
  return typeof value === 'string' ? value : undefined;
}

/** Undefined where it is not there, or not to be seen. */
function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    return undefined;
  }
}
