import { createHash } from 'node:crypto';
import type { Content } from '../content.ts';
import { open, type Target } from './connection.ts';

/** Fetches an object and hashes what comes; the runs that are measured only count bytes. */
export async function verify(target: Target, { path, size }: Content): Promise<void> {
  const hash = createHash('sha256');
  const connection = await open(target, (bytes) => void hash.update(bytes));
  const { length } = await connection.get(path);
  connection.close();
  const digest = `sha256:${hash.digest('hex')}`;
  if (length !== size || !path.endsWith(digest)) {
    throw new Error(`${path}: got ${length} bytes, ${digest}`);
  }
}
