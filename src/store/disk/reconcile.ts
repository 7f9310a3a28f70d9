import { opendir } from 'node:fs/promises';
import { isDigest, type Digest, type DigestAlgorithm } from '../../registry/digest.ts';
import type { Layout } from './layout.ts';

const ALGORITHMS: readonly DigestAlgorithm[] = ['sha256', 'sha512'];

/**
 * Walks the files of the blobs and reports each, so that those the index does not know are taken in: a crash
 * may lose the index's last moment, or somebody the index itself. It goes beside the requests and stops none.
 */
export async function reconcile(
  layout: Layout,
  onFile: (digest: Digest) => void,
  signal: AbortSignal,
): Promise<void> {
  for (const algorithm of ALGORITHMS) {
    // the walk reads the folder in pieces, on the thread pool
    for await (const entry of await opendir(layout.blobs(algorithm))) {
      if (signal.aborted) return;
      const digest = `${algorithm}:${entry.name}`;
      if (isDigest(digest)) onFile(digest);
    }
  }
}
