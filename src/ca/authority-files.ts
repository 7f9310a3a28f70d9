import { randomUUID } from 'node:crypto';
import { access, constants, link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BreakwaterError } from '../registry/errors.ts';

/** Where the two files of an authority are. */
export interface AuthorityPaths {
  readonly certificate: string;
  readonly key: string;
}

/** What was found there, PEM; undefined where there is no such file. */
export interface AuthorityFiles {
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

/** Reads both files. @throws `CA_UNUSABLE` for what is there and cannot be read. */
export async function readAuthorityFiles(paths: AuthorityPaths): Promise<AuthorityFiles> {
  const [certificate, key] = await Promise.all([readIfThere(paths.certificate), readIfThere(paths.key)]);
  return { certificate, key };
}

/**
 * Gives a file its content, whole or not at all, unless it exists by now: then the existing one stays.
 * Readers never see part of it, not even after a crash.
 * @returns whether it was this call that made the file
 * @throws `CA_UNUSABLE` where it cannot be written
 */
export async function publishFile(path: string, content: string, mode: number): Promise<boolean> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      await writeDurably(temporary, content, mode);
      const made = await nameIfFree(temporary, path);
      await syncFolder(folder);
      return made;
    } finally {
      await rm(temporary, { force: true });
    }
  } catch (cause) {
    throw new BreakwaterError('CA_UNUSABLE', `The CA file ${path} cannot be written: ${reasonOf(cause)}.`, {
      cause,
      mend: `Give ${whoami()} the right to write in ${folder} (${chown(folder)}), or put a certificate and its key there.`,
    });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined;
    throw new BreakwaterError('CA_UNUSABLE', `The CA file ${path} cannot be read: ${reasonOf(cause)}.`, {
      cause,
      mend: `Give ${whoami()} the right to read it (${chown((await isOpen(dirname(path))) ? path : dirname(path))}), and see that ${dirname(path)} is a folder.`,
    });
  }
}

async function writeDurably(path: string, content: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    // The umask may have taken bits away.
    await file.chmod(mode);
    await file.writeFile(content, 'utf8');
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A link, unlike a rename, fails where the name is taken: two processes that start at once agree on one key. */
async function nameIfFree(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    // Some network file systems have no links.
    await rename(temporary, path);
    return true;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot sync a folder; the file itself is safe.
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function reasonOf(error: unknown): string {
  const reasons: Readonly<Record<string, string>> = {
    EACCES: 'permission denied',
    EISDIR: 'it is a folder',
    ENOTDIR: 'part of its path is not a folder',
    ENOSPC: 'the disk is full',
    EPERM: 'operation not permitted',
    EROFS: 'the file system is read-only',
  };
  const code = codeOf(error);
  const known = typeof code === 'string' ? reasons[code] : undefined;
  if (known !== undefined) return known;
  return error instanceof Error ? error.message : String(error);
}

/** Whether what is in a folder can be reached. */
async function isOpen(folder: string): Promise<boolean> {
  return access(folder, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function chown(path: string): string {
  return `chown -R ${process.getuid?.() ?? 'UID'}:${process.getgid?.() ?? 'GID'} ${path}`;
}

function whoami(): string {
  const id = process.getuid?.();
  return id === undefined ? 'the user that runs Breakwater' : `uid ${id}`;
}
