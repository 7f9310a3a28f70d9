import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** The objects in a cache folder whose bytes do not hash to their name; there must never be one. */
export async function wrongObjects(cacheDir: string): Promise<string[]> {
  const wrong: string[] = [];
  for (const algorithm of ['sha256', 'sha512']) {
    const folder = join(cacheDir, 'blobs', algorithm);
    for (const name of await readdir(folder).catch(() => [])) {
      const hash = createHash(algorithm);
      await pipeline(createReadStream(join(folder, name)), hash);
      if (hash.digest('hex') !== name) wrong.push(`${algorithm}:${name}`);
    }
  }
  return wrong;
}
