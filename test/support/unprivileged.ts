const NOTHING = ['--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'];

/** A command that becomes the one behind it as a user whom nobody knows, and who has no capability; as root only. */
export function asUser(uid: number, gid = uid): readonly string[] {
  return [
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
