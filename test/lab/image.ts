import { createCipheriv, createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { tar, type TarEntry } from './tar.ts';

export interface ImageSpec {
  /** The same seed gives the same bytes, always and everywhere. */
  readonly seed: string;
  /** The size in bytes of each layer's incompressible content. */
  readonly layers: readonly number[];
  /** With several, or with `index`, the image is a list of one manifest each. The default is linux/amd64 alone. */
  readonly platforms?: readonly string[];
  readonly index?: boolean;
  readonly mediaTypes?: 'oci' | 'docker';
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

interface PlatformManifest extends Descriptor {
  readonly platform: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** An image on disk, in the `dir:` layout of skopeo: it keeps both families of media types as they are. */
export interface Image extends Descriptor {
  readonly folder: string;
  readonly manifests: readonly PlatformManifest[];
}

const MEDIA_TYPES = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
} as const;

type MediaTypes = (typeof MEDIA_TYPES)[keyof typeof MEDIA_TYPES];

/** Makes an image in a new folder under `parent`: busybox, which can run, and the layers asked for. */
export async function craftImage(parent: string, spec: ImageSpec): Promise<Image> {
  const folder = join(parent, randomUUID());
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'version'), 'Directory Transport Version: 1.1\n');
  const types = MEDIA_TYPES[spec.mediaTypes ?? 'oci'];
  const platforms = spec.platforms ?? ['linux/amd64'];
  const listed = spec.index ?? platforms.length > 1;
  const manifests: PlatformManifest[] = [];
  for (const platform of platforms) {
    const manifest = await craftPlatform(folder, spec, types, platform);
    await writeFile(join(folder, manifestFile(listed, manifest.body)), manifest.body);
    manifests.push(manifest.made);
  }
  if (!listed) {
    const [only] = manifests;
    if (only === undefined || manifests.length > 1) throw new Error('without an index there is one platform');
    return { ...descriptorOf(only), folder, manifests };
  }
  const body = json({
    schemaVersion: 2,
    mediaType: types.index,
    manifests: manifests.map((made) => ({ ...descriptorOf(made), platform: platformParts(made.platform) })),
  });
  await writeFile(join(folder, 'manifest.json'), body);
  return { ...describe(types.index, body), folder, manifests };
}

async function craftPlatform(folder: string, spec: ImageSpec, types: MediaTypes, platform: string) {
  const busybox = await readFile('/bin/busybox');
  const contents = [
    { entries: base(busybox), level: 6 },
    // Random bytes do not compress: storing them saves the time.
    ...spec.layers.map((size, n) => ({
      entries: [{ name: `data/${n}`, mode: 0o644, size, body: noise(`${spec.seed} ${platform} ${n}`, size) }],
      level: 0,
    })),
  ];
  const layers = [];
  for (const { entries, level } of contents) layers.push(await craftLayer(folder, types, entries, level));
  // The history names the media type, so that the two families differ in their image ids too.
  const configBody = json({
    created: '2026-01-01T00:00:00Z',
    ...platformParts(platform),
    config: { Env: ['PATH=/bin'], Cmd: ['sh', '-c', 'echo hello from $0', spec.seed] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: '2026-01-01T00:00:00Z', created_by: `lab: ${types.layer}` })),
  });
  const config = describe(types.config, configBody);
  await writeFile(blobFile(folder, config.digest), configBody);
  const descriptors = layers.map(({ blob }) => blob);
  const body = json({ schemaVersion: 2, mediaType: types.manifest, config, layers: descriptors });
  const made: PlatformManifest = { ...describe(types.manifest, body), platform, config, layers: descriptors };
  return { body, made };
}

async function craftLayer(
  folder: string,
  types: MediaTypes,
  entries: readonly TarEntry[],
  level: number,
): Promise<{ blob: Descriptor; diffId: string }> {
  const plain = createHash('sha256');
  const packed = createHash('sha256');
  let size = 0;
  const part = join(folder, 'part');
  const archive = function* (): Generator<Buffer> {
    for (const chunk of tar(entries)) {
      plain.update(chunk);
      yield chunk;
    }
  };
  const measure = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      packed.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  await pipeline(
    Readable.from(archive()),
    createGzip({ level, chunkSize: 1 << 20 }),
    measure,
    createWriteStream(part),
  );
  const digest = `sha256:${packed.digest('hex')}`;
  await rename(part, blobFile(folder, digest));
  return { blob: { mediaType: types.layer, digest, size }, diffId: `sha256:${plain.digest('hex')}` };
}

function base(busybox: Buffer): TarEntry[] {
  return [
    ...['bin', 'data', 'etc', 'tmp'].map((name) => ({ name: `${name}/`, mode: 0o755 })),
    { name: 'bin/busybox', mode: 0o755, size: busybox.length, body: [busybox] },
    ...['sh', 'cat', 'ls', 'wc', 'sha256sum'].map((name) => ({
      name: `bin/${name}`,
      mode: 0o777,
      link: 'busybox',
    })),
  ];
}

/** `size` bytes that look random: the key stream of a cipher. */
function* noise(seed: string, size: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(size, 1 << 20));
  for (let left = size; left > 0; left -= zeros.length) {
    yield cipher.update(left < zeros.length ? zeros.subarray(0, left) : zeros);
  }
}

function manifestFile(listed: boolean, body: Buffer): string {
  return listed ? `${sha256(body).slice('sha256:'.length)}.manifest.json` : 'manifest.json';
}

function blobFile(folder: string, digest: string): string {
  return join(folder, digest.slice('sha256:'.length));
}

function platformParts(platform: string) {
  const [os = '', architecture = '', variant] = platform.split('/');
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

function descriptorOf({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function describe(mediaType: string, body: Buffer): Descriptor {
  return { mediaType, digest: sha256(body), size: body.length };
}

function sha256(body: Buffer): string {
  return `sha256:${createHash('sha256').update(body).digest('hex')}`;
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
