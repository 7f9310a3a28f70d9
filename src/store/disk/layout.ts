import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestAlgorithm, digestHex, type Digest } from '../../registry/digest.ts';
import { BreakwaterError } from '../../registry/errors.ts';

/** Where things lie in a cache folder; `blobs/` is laid out as in an OCI image layout. */
export interface Layout {
  readonly root: string;
  /** Folder of the partial files; nothing in it is ever served as finished. */
  readonly partials: string;
  readonly index: string;
  blobs(algorithm: string): string;
  blob(digest: Digest): string;
}

const ALGORITHMS = ['sha256', 'sha512'] as const;
const LAYOUT_VERSION = '1';

/**
 * Makes what is missing of a cache folder.
 * @throws `CACHE_UNUSABLE` where it cannot be written, or was made by a later version.
 */
export function openLayout(root: string): Layout {
  const layout: Layout = {
    root,
    partials: join(root, 'partial'),
    index: join(root, 'index.sqlite'),
    blobs: (algorithm) => join(root, 'blobs', algorithm),
    blob: (digest) => join(root, 'blobs', digestAlgorithm(digest), digestHex(digest)),
  };
  try {
    for (const algorithm of ALGORITHMS) mkdirSync(layout.blobs(algorithm), { recursive: true });
    mkdirSync(layout.partials, { recursive: true });
    checkVersion(join(root, 'layout-version'));
  } catch (cause) {
    if (cause instanceof BreakwaterError) throw cause;
    throw new BreakwaterError('CACHE_UNUSABLE', `CACHE_DIR ${root} cannot be written: ${String(cause)}`, {
      cause,
      mend: `Make it writable for the user that runs the proxy (uid ${process.getuid?.() ?? 'unknown'}): chown -R ${process.getuid?.() ?? 'UID'} ${root}`,
    });
  }
  return layout;
}

function checkVersion(file: string): void {
  if (!existsSync(file)) {
    // a crash must not leave a file without its content, which would be refused for ever
    writeFileSync(`${file}.new`, `${LAYOUT_VERSION}\n`);
    renameSync(`${file}.new`, file);
    return;
  }
  const version = readFileSync(file, 'utf8').trim();
  if (version === LAYOUT_VERSION) return;
  throw new BreakwaterError(
    'CACHE_UNUSABLE',
    `${file} says version ${version}; this program knows ${LAYOUT_VERSION}`,
    {
      mend: 'Use the version of Breakwater that made this cache, or an empty CACHE_DIR.',
    },
  );
}
