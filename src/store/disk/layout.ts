import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { digestAlgorithm, digestHex, type Digest } from '../../registry/digest.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import { isWriteRefusal } from './fault.ts';
import { notWritable } from './not-writable.ts';

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

/** A cache folder, and whether it can be written. */
export interface OpenedLayout {
  readonly layout: Layout;
  /** Why nothing can be written, and how to mend it; undefined where everything can. */
  readonly readOnly: BreakwaterError | undefined;
}

/**
 * Makes what is missing of a cache folder. One that holds a cache and cannot be written is opened to be read.
 * @throws `CACHE_UNUSABLE` where it cannot be used at all, or was made by a later version.
 */
export function openLayout(root: string): OpenedLayout {
  const layout: Layout = {
    root,
    partials: join(root, 'partial'),
    index: join(root, 'index.sqlite'),
    blobs: (algorithm) => join(root, 'blobs', algorithm),
    blob: (digest) => join(root, 'blobs', digestAlgorithm(digest), digestHex(digest)),
  };
  const version = join(root, 'layout-version');
  const folders = [...ALGORITHMS.map((algorithm) => layout.blobs(algorithm)), layout.partials];
  try {
    for (const folder of folders) mkdirSync(folder, { recursive: true });
    for (const folder of [root, ...folders]) accessSync(folder, constants.W_OK | constants.X_OK);
    for (const file of [layout.index, `${layout.index}-wal`, `${layout.index}-shm`])
      if (existsSync(file)) accessSync(file, constants.R_OK | constants.W_OK);
    checkVersion(version);
    return { layout, readOnly: undefined };
  } catch (cause) {
    if (cause instanceof BreakwaterError) throw cause;
    const refused = notWritable(root, cause);
    if (!isWriteRefusal(cause)) throw refused;
    try {
      for (const path of [version, layout.index]) accessSync(path, constants.R_OK);
      for (const folder of folders) accessSync(folder, constants.R_OK | constants.X_OK);
    } catch {
      // there is no cache, or not one that can be read
      throw refused;
    }
    checkVersion(version);
    return { layout, readOnly: refused };
  }
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
