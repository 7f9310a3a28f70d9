import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Job } from '../job.ts';
import type { Credentials } from '../users.ts';
import {
  basicPair,
  clientEnv,
  platformFlags,
  type ClientSettings,
  type Pulled,
  type PullOptions,
  type PushOptions,
} from './client.ts';

/** A Docker engine of its own, started at the first use. It is the daemon that pulls, so the settings are its own. */
export class Docker {
  readonly #settings: ClientSettings;
  readonly #root: string;
  #daemon: Promise<Job> | undefined;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
    this.#root = join(settings.folder, 'docker');
  }

  async pull(ref: string, options: PullOptions = {}): Promise<Pulled> {
    const args = ['pull', ...platformFlags(options.platform), ref];
    const output = await this.#run(args, options.credentials && { ref, credentials: options.credentials });
    const digest = /^Digest: (sha256:\w+)$/m.exec(output)?.[1];
    if (digest === undefined) throw new Error(`docker pull printed no digest:\n${output}`);
    return { digest };
  }

  /** Pushes an image of an archive that names it; gives the digest of the manifest that Docker made of it. */
  async push(archive: string, ref: string, { credentials }: PushOptions = {}): Promise<string> {
    await this.#run(['load', '--input', archive]);
    const output = await this.#run(['push', ref], credentials && { ref, credentials });
    const digest = /digest: (sha256:\w+)/.exec(output)?.[1];
    if (digest === undefined) throw new Error(`docker push printed no digest:\n${output}`);
    return digest;
  }

  /** Runs the image's command, or another one, without network, and returns what it prints. */
  run(ref: string, command: readonly string[] = []): Promise<string> {
    return this.#run(['run', '--rm', '--pull=never', '--network=none', ref, ...command]);
  }

  async remove(ref: string): Promise<void> {
    await this.#run(['rmi', '--force', ref]);
  }

  async close(): Promise<void> {
    const daemon = await this.#daemon?.catch(() => undefined);
    this.#daemon = undefined;
    await daemon?.stop('SIGTERM', 20_000);
  }

  async #run(args: readonly string[], login?: { ref: string; credentials: Credentials }): Promise<string> {
    this.#daemon ??= this.#start();
    await this.#daemon;
    const config = join(this.#root, login === undefined ? 'anonymous' : `as-${login.credentials.username}`);
    await mkdir(config, { recursive: true });
    const auth = login && { [authKey(login.ref)]: { auth: btoa(basicPair(login.credentials)) } };
    await writeFile(join(config, 'config.json'), JSON.stringify({ auths: auth ?? {} }));
    // The full path: /usr/local/bin may hold a newer command than Debian's.
    const docker = ['/usr/bin/docker', '--config', config, '--host', this.#socket, ...args];
    const { stdout } = await this.#settings.space.run(docker);
    return stdout.toString().trim();
  }

  get #socket(): string {
    return `unix://${join(this.#root, 'docker.sock')}`;
  }

  async #start(): Promise<Job> {
    await mkdir(this.#root, { recursive: true });
    const file = (name: string): string => join(this.#root, name);
    const flags = [
      '--config-file',
      file('daemon.json'),
      '--host',
      this.#socket,
      '--pidfile',
      file('pid'),
      '--data-root',
      file('data'),
      '--exec-root',
      file('exec'),
      '--bridge=none',
      '--iptables=false',
      '--ip6tables=false',
      '--ip-forward=false',
      '--ip-masq=false',
      '--cgroup-parent',
      this.#settings.cgroupParent,
    ];
    await writeFile(file('daemon.json'), '{}');
    const env = await clientEnv(this.#settings);
    const daemon = this.#settings.space.start(['/usr/sbin/dockerd', ...flags], { env });
    await daemon.stderr.until((line) => line.includes('API listen on'));
    return daemon;
  }
}

/** The name under which Docker keeps the login of an image's registry. */
function authKey(ref: string): string {
  const registry = ref.split('/')[0] ?? '';
  return registry === 'docker.io' || !registry.includes('.') ? 'https://index.docker.io/v1/' : registry;
}
