import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A file system of its own over a folder; as root only. */
export interface Disk extends AsyncDisposable {
  /** The medium fails as ext4 sees it: read-only from now on, the files that are open for writing included. */
  fail(): Promise<void>;
}

/** Mounts `megabytes` of memory over a folder, which is made where it is missing. */
export async function mountMemory(folder: string, options: string): Promise<Disk> {
  await mkdir(folder, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
  return {
    fail: () => Promise.reject(new Error('memory does not fail')),
    [Symbol.asyncDispose]: () => unmount(folder),
  };
}

/** Mounts an ext4 of its own over a folder. */
export async function mountExt4(folder: string, megabytes: number): Promise<Disk> {
  await mkdir(folder, { recursive: true });
  const aside = await mkdtemp(join(tmpdir(), 'breakwater-disk-'));
  const image = join(aside, 'image');
  await run('truncate', ['-s', `${megabytes}M`, image]);
  await run('mkfs.ext4', ['-q', '-F', image]);
  await run('mount', ['-o', 'loop,errors=remount-ro', image, folder]);
  const { stdout } = await run('findmnt', ['-no', 'SOURCE', folder]);
  const device = basename(stdout.trim());
  return {
    async fail() {
      await run('sh', ['-c', `echo breakwater test > /sys/fs/ext4/${device}/trigger_fs_error`]);
    },
    async [Symbol.asyncDispose]() {
      await unmount(folder);
      await rm(aside, { recursive: true, force: true });
    },
  };
}

/** Lazily: a process that still has a file open must not keep the test from cleaning up. */
async function unmount(folder: string): Promise<void> {
  await run('umount', ['-l', folder]);
}

/** Makes system calls of a process that touch a path fail, until it is disposed of. */
export async function injectFault(
  pid: number,
  path: string,
  calls: readonly string[],
  error: 'EIO' | 'EROFS' | 'ENOSPC',
): Promise<AsyncDisposable> {
  const injections = calls.flatMap((call) => ['-e', `inject=${call}:error=${error}`]);
  const strace = spawn(
    'strace',
    ['-f', '-p', String(pid), '-P', path, '-e', `trace=${calls.join(',')}`, ...injections],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = once(strace, 'exit');
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: strace.stderr }).on('line', (line) => {
      said.push(line);
      if (/attached/.test(line)) resolve();
    });
    strace.once('exit', (code) => reject(new Error(`strace ended (${code}): ${said.join('\n')}`)));
  });
  return {
    async [Symbol.asyncDispose]() {
      strace.kill('SIGINT');
      await exited;
      // a fault that never came about proves nothing
      if (!said.some((line) => line.includes('INJECTED')))
        throw new Error(`no call was made to fail: ${path}`);
    },
  };
}
