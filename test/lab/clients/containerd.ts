import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Job } from '../job.ts';
import {
  basicPair,
  clientEnv,
  platformFlags,
  type ClientSettings,
  type Pulled,
  type PullOptions,
} from './client.ts';

/** A containerd of its own, started at the first use. It is `ctr` that pulls, and names must be full. */
export class Containerd {
  readonly #settings: ClientSettings;
  readonly #root: string;
  #daemon: Promise<Job> | undefined;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
    this.#root = join(settings.folder, 'containerd');
  }

  async pull(ref: string, options: PullOptions = {}): Promise<Pulled> {
    const login = options.credentials === undefined ? [] : ['--user', basicPair(options.credentials)];
    await this.#ctr(['images', 'pull', ...login, ...platformFlags(options.platform), ref]);
    const list = await this.#ctr(['images', 'ls', `name==${ref}`]);
    const digest = /\bsha256:[0-9a-f]{64}\b/.exec(list)?.[0];
    if (digest === undefined) throw new Error(`ctr does not list ${ref}:\n${list}`);
    return { digest };
  }

  /** Runs the image's command, or another one, and returns what it prints. */
  run(ref: string, command: readonly string[] = []): Promise<string> {
    const id = randomUUID();
    return this.#ctr(['run', '--rm', `--cgroup=${this.#settings.cgroupParent}/${id}`, ref, id, ...command]);
  }

  /** Removes the image and, at once, all content that only it used. */
  async remove(ref: string): Promise<void> {
    await this.#ctr(['images', 'rm', '--sync', ref]);
  }

  async close(): Promise<void> {
    const daemon = await this.#daemon?.catch(() => undefined);
    this.#daemon = undefined;
    await daemon?.stop();
  }

  async #ctr(args: readonly string[]): Promise<string> {
    this.#daemon ??= this.#start();
    await this.#daemon;
    const env = await clientEnv(this.#settings);
    const { stdout } = await this.#settings.space.run(['ctr', '--address', this.#socket, ...args], { env });
    return stdout.toString().trim();
  }

  get #socket(): string {
    return join(this.#root, 'containerd.sock');
  }

  async #start(): Promise<Job> {
    await mkdir(this.#root, { recursive: true });
    const config = join(this.#root, 'config.toml');
    await writeFile(
      config,
      `version = 2
root = "${join(this.#root, 'root')}"
state = "${join(this.#root, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "${this.#socket}"
`,
    );
    const daemon = this.#settings.space.start(['containerd', '--config', config]);
    await daemon.stderr.until((line) => line.includes('containerd successfully booted'));
    return daemon;
  }
}
