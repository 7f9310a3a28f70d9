import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  basicPair,
  clientEnv,
  platformFlags,
  type ClientSettings,
  type Pulled,
  type PullOptions,
  type PushOptions,
} from './client.ts';

// runc: crun refuses machines that mix both versions of cgroups. The limits: podman would else try to raise them.
const CONTAINERS_CONF = `
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

/** Podman with a store of its own. */
export class Podman {
  readonly #settings: ClientSettings;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
  }

  async pull(ref: string, options: PullOptions = {}): Promise<Pulled> {
    const login = options.credentials === undefined ? [] : ['--creds', basicPair(options.credentials)];
    await this.#run(['pull', '--quiet', ...login, ...platformFlags(options.platform), ref]);
    return { digest: await this.#run(['image', 'inspect', '--format', '{{.Digest}}', ref]) };
  }

  /** Pushes a folder in the `dir:` layout; gives the digest of the manifest that podman made of it. */
  async push(folder: string, ref: string, { credentials }: PushOptions = {}): Promise<string> {
    const id = await this.#run(['pull', '--quiet', `dir:${folder}`]);
    const file = join(this.#settings.folder, 'podman', 'digest');
    const login = credentials === undefined ? [] : ['--creds', basicPair(credentials)];
    await this.#run(['push', '--quiet', '--digestfile', file, ...login, id, `docker://${ref}`]);
    return readFile(file, 'utf8');
  }

  /** Runs the image's command, or another one, without network, and returns what it prints. */
  run(ref: string, command: readonly string[] = []): Promise<string> {
    const flags = [
      '--rm',
      '--pull=never',
      '--network=none',
      `--cgroup-parent=${this.#settings.cgroupParent}`,
    ];
    return this.#run(['run', ...flags, ref, ...command]);
  }

  async remove(ref: string): Promise<void> {
    await this.#run(['rmi', '--force', ref]);
  }

  async #run(args: readonly string[]): Promise<string> {
    const root = join(this.#settings.folder, 'podman');
    await mkdir(root, { recursive: true });
    const conf = join(root, 'containers.conf');
    await writeFile(conf, CONTAINERS_CONF);
    // Podman allows this path 50 characters; /run is the lab's own.
    const run = `/run/podman-${basename(this.#settings.folder)}`;
    const store = [
      '--root',
      join(root, 'store'),
      '--runroot',
      run,
      '--tmpdir',
      join(run, 'tmp'),
      '--storage-driver',
      'overlay',
      '--log-level',
      'error',
    ];
    const env = { ...(await clientEnv(this.#settings)), CONTAINERS_CONF: conf };
    const { stdout } = await this.#settings.space.run(['podman', ...store, ...args], { env });
    return stdout.toString().trim();
  }
}
