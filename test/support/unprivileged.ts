import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const PROJECT = join(import.meta.dirname, '../..');
const NOTHING = ['--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'];

/** A command that becomes the one behind it as a user whom nobody knows, and who has no capability; as root only. */
export function asUser(uid: number, gid = uid): readonly string[] {
  return [
    ...withOpenWay(),
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    ...NOTHING,
    '--pdeathsig=KILL',
    '--',
  ];
}

/** Makes every file system read-only but for these folders, for the command behind it alone; as root only. */
export function withReadOnlyRoot(writable: readonly string[]): readonly string[] {
  const script = `
    for folder in ${writable.map((folder) => `'${folder}'`).join(' ')}; do mount --bind "$folder" "$folder"; done
    findmnt -rno TARGET | while read -r target; do
      case "$target" in ${[...writable, '/proc*', '/sys*', '/dev*'].join('|')}) ;; *) mount -o remount,bind,ro "$target" ;; esac
    done
    exec "$@"`;
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh'];
}

/**
 * Lets others than its owner reach the project, for the command behind it alone, where it is below a folder that they may
 * not enter, as a clone in a temporary folder is: an open one is put over that folder, with nothing in it but the project.
 */
function withOpenWay(): readonly string[] {
  const closed = ancestors(PROJECT).find((folder) => (statSync(folder).mode & 0o001) === 0);
  if (closed === undefined) return [];
  const script = `
    exec 3<'${PROJECT}'
    mount -t tmpfs -o mode=755 tmpfs '${closed}'
    mkdir -p '${PROJECT}'
    mount --no-canonicalize --bind /proc/self/fd/3 '${PROJECT}'
    exec 3<&-
    exec "$@"`;
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh'];
}

/** The folders that lead to a path, the root first. */
function ancestors(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [] : [...ancestors(parent), parent];
}
