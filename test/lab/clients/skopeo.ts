import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  basicPair,
  clientEnv,
  type ClientSettings,
  type Pulled,
  type PullOptions,
  type PushOptions,
} from './client.ts';

export interface SkopeoPull extends PullOptions {
  /** Every platform of an index instead of one. */
  readonly all?: boolean;
}

export interface SkopeoPulled extends Pulled {
  /** In the `dir:` layout: blobs are named by their hex digest. */
  readonly folder: string;
  readonly manifest: Buffer;
  /** Size of all files that are blobs. */
  readonly blobBytes: number;
}

/** Copies an image to a new folder each time; it keeps nothing between pulls. */
export class Skopeo {
  readonly #settings: ClientSettings;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
  }

  async pull(ref: string, options: SkopeoPull = {}): Promise<SkopeoPulled> {
    const folder = join(this.#settings.folder, 'skopeo', randomUUID());
    await mkdir(folder, { recursive: true });
    const [os, architecture, variant] = options.platform?.split('/') ?? [];
    const global = [
      ...(os === undefined ? [] : ['--override-os', os]),
      ...(architecture === undefined ? [] : ['--override-arch', architecture]),
      ...(variant === undefined ? [] : ['--override-variant', variant]),
    ];
    const copy = [
      '--quiet',
      ...(options.all === true ? ['--all'] : []),
      ...(options.credentials === undefined ? [] : ['--src-creds', basicPair(options.credentials)]),
    ];
    await this.#run([...global, 'copy', ...copy, `docker://${ref}`, `dir:${folder}`]);
    const manifest = await readFile(join(folder, 'manifest.json'));
    const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
    return { digest, folder, manifest, blobBytes: await blobBytes(folder) };
  }

  /** Pushes a folder in the `dir:` layout, byte for byte; gives the digest of its manifest. */
  async push(folder: string, ref: string, { credentials }: PushOptions = {}): Promise<string> {
    const login = credentials === undefined ? [] : ['--dest-creds', basicPair(credentials)];
    await this.#run([
      'copy',
      '--quiet',
      '--all',
      '--preserve-digests',
      ...login,
      `dir:${folder}`,
      `docker://${ref}`,
    ]);
    return `sha256:${createHash('sha256')
      .update(await readFile(join(folder, 'manifest.json')))
      .digest('hex')}`;
  }

  /** Deletes the manifest that a reference names from its registry. */
  async delete(ref: string): Promise<void> {
    await this.#run(['delete', `docker://${ref}`]);
  }

  /** Makes an archive that Docker can load, of a folder in the `dir:` layout. */
  async archive(folder: string, ref: string): Promise<string> {
    const file = join(this.#settings.folder, 'skopeo', `${randomUUID()}.tar`);
    await mkdir(join(this.#settings.folder, 'skopeo'), { recursive: true });
    await this.#run(['copy', '--quiet', `dir:${folder}`, `docker-archive:${file}:${ref}`]);
    return file;
  }

  /** The manifest or index a reference names, as it is. */
  async manifest(ref: string, options: PullOptions = {}): Promise<Buffer> {
    const login = options.credentials === undefined ? [] : ['--creds', basicPair(options.credentials)];
    return this.#run(['inspect', '--raw', ...login, `docker://${ref}`]);
  }

  async #run(args: readonly string[]): Promise<Buffer> {
    const env = await clientEnv(this.#settings);
    const { stdout } = await this.#settings.space.run(['skopeo', '--insecure-policy', ...args], { env });
    return stdout;
  }
}

async function blobBytes(folder: string): Promise<number> {
  const blobs = (await readdir(folder)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  const sizes = await Promise.all(blobs.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((total, size) => total + size, 0);
}
