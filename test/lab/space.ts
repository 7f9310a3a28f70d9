import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Job, run, type JobOptions, type Output, type RunOptions } from './job.ts';

/** Names that resolve to one loopback address inside a space. */
export interface HostEntry {
  readonly address: string;
  readonly hosts: readonly string[];
}

/**
 * Namespaces of their own, held open by one process: whatever is started here sees the lab's network, names and
 * processes, and writes to `/etc`, `/run` and `/var/lib` stay here. All of it ends with the holder, and the holder
 * ends with the process that opened it, because it waits on a pipe to it.
 */
export class Space {
  /** The holder's pid, as seen from outside: `nsenter -t` takes it. */
  readonly pid: number;
  /** What programs inside get, instead of whatever the caller's environment holds (its CA and proxy variables). */
  readonly env: Readonly<Record<string, string>>;
  readonly #holder: Job;
  readonly #hostsFile: string;

  constructor(holder: Job, hostsFile: string, env: Readonly<Record<string, string>>) {
    this.#holder = holder;
    this.pid = holder.innerPid;
    this.#hostsFile = hostsFile;
    this.env = env;
  }

  /** The full command line that runs `command` inside. */
  argv(command: readonly string[]): string[] {
    return entering(this.pid, '/', command);
  }

  run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
    return run(this.argv(command), { ...options, env: { ...this.env, ...options.env } });
  }

  start(command: readonly string[], options: JobOptions = {}): Job {
    return new Job(this.argv(command), { ...options, env: { ...this.env, ...options.env } });
  }

  /** Changes which names resolve from now on; all others fail at once. */
  async setHosts(entries: readonly HostEntry[]): Promise<void> {
    // Written in place: a new file would not show through the bind mount.
    await writeFile(this.#hostsFile, hostsText(entries));
  }

  /** A space inside this one that differs in its names only. */
  async nested(hostsFile: string, entries: readonly HostEntry[]): Promise<Space> {
    await writeFile(hostsFile, hostsText(entries));
    const script = `mount --bind ${hostsFile} /etc/hosts; echo ready; read -r`;
    const holder = this.start(['unshare', '--mount', 'bash', '-ec', script], { stdin: 'pipe' });
    await ready(holder);
    return new Space(holder, hostsFile, this.env);
  }

  /** A space inside this one whose names come from the name servers of a `resolv.conf`, and from nowhere else. */
  async withNameServers(folder: string, resolvConf: string): Promise<Space> {
    await mkdir(folder, { recursive: true });
    const file = (name: string): string => join(folder, name);
    await writeFile(file('hosts'), hostsText([]));
    await writeFile(file('resolv.conf'), resolvConf);
    await writeFile(file('nsswitch.conf'), 'hosts: files dns\n');
    const mounts = ['hosts', 'resolv.conf', 'nsswitch.conf'].map(
      (name) => `mount --bind ${file(name)} /etc/${name}`,
    );
    const script = [...mounts, 'echo ready', 'read -r'].join('; ');
    const holder = this.start(['unshare', '--mount', 'bash', '-ec', script], { stdin: 'pipe' });
    await ready(holder);
    return new Space(holder, file('hosts'), this.env);
  }

  async close(): Promise<void> {
    this.#holder.closeStdin();
    await this.#holder.exited;
  }
}

/** The command line that runs `command` in a folder of the space that a process holds. */
export function entering(pid: number, folder: string, command: readonly string[]): string[] {
  return ['nsenter', `--target=${pid}`, '--net', '--mount', '--pid', `--wdns=${folder}`, '--', ...command];
}

/** Opens a space whose files live under `work`. */
export async function openSpace(work: string, entries: readonly HostEntry[]): Promise<Space> {
  const files = join(work, 'space');
  const home = join(work, 'home');
  const tmp = join(work, 'tmp');
  for (const folder of [files, home, tmp]) await mkdir(folder, { recursive: true });
  const hostsFile = join(files, 'hosts');
  await writeFile(hostsFile, hostsText(entries));
  await writeFile(join(files, 'resolv.conf'), '');
  await withoutDns('/etc/nsswitch.conf', join(files, 'nsswitch.conf'));

  // The process namespace makes the kernel end everything inside together with the holder.
  const flags = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const holder = new Job(['unshare', ...flags, 'bash', '-ec', setupScript(files)], { stdin: 'pipe' });
  await ready(holder);
  const path = '/usr/sbin:/usr/bin:/sbin:/bin';
  return new Space(holder, hostsFile, { PATH: path, HOME: home, TMPDIR: tmp, LANG: 'C.UTF-8' });
}

function setupScript(files: string): string {
  // Overlays and not empty folders: the programs' packaged settings must stay readable.
  // bash and not a program that just sleeps: as process 1 it must reap what daemons leave behind.
  return `
    mount --no-mtab -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /dev/shm
    mkdir ${files}/upper
    mount -t tmpfs tmpfs ${files}/upper
    for folder in etc var/lib; do
      mkdir -p ${files}/upper/$folder/{data,work}
      mount -t overlay -o lowerdir=/$folder,upperdir=${files}/upper/$folder/data,workdir=${files}/upper/$folder/work \
        overlay /$folder
    done
    for file in hosts resolv.conf nsswitch.conf; do mount --bind ${files}/$file /etc/$file; done
    ip link set lo up
    echo ready
    read -r`;
}

async function ready(holder: Job): Promise<void> {
  try {
    await holder.stdout.until((line) => line === 'ready');
  } catch {
    await holder.exited;
    throw new Error(`no namespace could be made (is this root?):\n${holder.stderr.all.join('\n')}`);
  }
}

// With no name server listed, a lookup would still try one on 127.0.0.1 and call its failure temporary.
async function withoutDns(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const text = await readFile(to, 'utf8');
  await writeFile(to, text.replace(/^hosts:.*$/m, 'hosts: files'));
}

function hostsText(entries: readonly HostEntry[]): string {
  const local: HostEntry = { address: '127.0.0.1', hosts: ['localhost', hostname()] };
  return [local, ...entries].map(({ address, hosts }) => `${address} ${hosts.join(' ')}\n`).join('');
}
