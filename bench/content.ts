import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** An object that both servers serve at the same path. */
export interface Content {
  readonly path: string;
  readonly file: string;
  readonly size: number;
  readonly type: string;
}

export interface Contents {
  readonly large: Content;
  readonly small: Content;
  readonly manifest: Content;
}

const MEBIBYTE = 1024 * 1024;
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
/** Layers in the manifest: 19 make about 3 KB, as many popular images have. */
const LAYERS = 19;

/** Writes the files below `root`, each at the path it is served at. */
export function makeContents(root: string, largeSize: number): Contents {
  return {
    large: makeBlob(root, largeSize),
    small: makeBlob(root, MEBIBYTE),
    manifest: makeManifest(root),
  };
}

function makeBlob(root: string, size: number): Content {
  const chunk = randomBytes(MEBIBYTE);
  const chunks = Array.from({ length: Math.ceil(size / MEBIBYTE) }, (_, at) => {
    const bytes = Buffer.from(chunk);
    bytes.writeUInt32BE(at);
    return bytes.subarray(0, Math.min(MEBIBYTE, size - at * MEBIBYTE));
  });
  return write(root, 'blobs', chunks, 'application/octet-stream');
}

function makeManifest(root: string): Content {
  const describe = (mediaType: string, size: number): object => ({
    mediaType,
    size,
    digest: `sha256:${randomBytes(32).toString('hex')}`,
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: describe('application/vnd.oci.image.config.v1+json', 7023),
    layers: Array.from({ length: LAYERS }, (_, at) =>
      describe('application/vnd.oci.image.layer.v1.tar+gzip', 1_000_000 + at),
    ),
  };
  return write(root, 'manifests', [Buffer.from(JSON.stringify(manifest))], MANIFEST_TYPE);
}

function write(root: string, kind: string, chunks: readonly Buffer[], type: string): Content {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  const path = `/v2/bench/image/${kind}/sha256:${hash.digest('hex')}`;
  const file = join(root, path);
  mkdirSync(join(file, '..'), { recursive: true });
  const descriptor = openSync(file, 'wx');
  for (const chunk of chunks) writeSync(descriptor, chunk);
  fsyncSync(descriptor);
  closeSync(descriptor);
  return { path, file, type, size: chunks.reduce((sum, chunk) => sum + chunk.length, 0) };
}
