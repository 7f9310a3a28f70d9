import { blobOf, randomBlob, textContent, type Blob } from './content.ts';

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
/** What skopeo, podman and containerd accept, more or less. */
export const ANY_MANIFEST = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(', ');

export interface Manifest extends Blob {
  readonly mediaType: string;
}

export interface Image {
  readonly manifest: Manifest;
  readonly config: Blob;
  readonly layers: readonly Blob[];
}

export interface ImageSpec {
  /** Decides every byte. */
  readonly seed: string;
  /** Sizes of the layers in bytes. */
  readonly layers?: readonly number[];
  readonly mediaType?: string;
  readonly algorithm?: 'sha256' | 'sha512';
}

/** An image as registries have it; its layers are no archives, as no client unpacks them here. */
export function craftImage({ seed, layers = [1024], mediaType = OCI_MANIFEST, algorithm }: ImageSpec): Image {
  const config = blobOf(textContent(JSON.stringify({ architecture: 'amd64', os: 'linux', seed })));
  const blobs = layers.map((size, index) => randomBlob(`${seed} layer ${index}`, size));
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: config.digest,
      size: config.size,
    },
    layers: blobs.map(({ digest, size }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest,
      size,
    })),
  });
  return { manifest: { ...blobOf(textContent(text), algorithm), mediaType }, config, layers: blobs };
}

/** An index of manifests, one for each architecture. */
export function craftIndex(images: readonly Image[], mediaType: string = OCI_INDEX): Manifest {
  const manifests = images.map(({ manifest }, index) => ({
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.size,
    platform: { os: 'linux', architecture: index === 0 ? 'amd64' : 'arm64' },
  }));
  const text = JSON.stringify({ schemaVersion: 2, mediaType, manifests });
  return { ...blobOf(textContent(text)), mediaType };
}
