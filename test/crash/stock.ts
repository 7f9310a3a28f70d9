import { randomBlob, type Blob } from '../upstream/content.ts';
import { ANY_MANIFEST, craftImage, type Image } from '../upstream/image.ts';
import { blobPath, manifestPath } from '../upstream/paths.ts';
import type { ScriptedRegistry } from '../upstream/scripted-registry.ts';

/** Something that clients pull. */
export interface Target {
  readonly path: string;
  readonly content: Blob;
  readonly headers: Readonly<Record<string, string>>;
}

/** What the registry has; more is added as it goes, so that there is always something to fetch. */
export interface Stock {
  renew(): void;
  /** Something, rather new than old. */
  pick(random: () => number): Target;
  all(): readonly Target[];
  knows(digest: string): boolean;
}

const KIB = 1024;
const REPOSITORIES = ['crash/one', 'crash/other'] as const;
/** Most pulls are of as many things as an image and the large blob have together. */
const NEW = 12;
/** A large blob outlives several kills, and is gone on with. */
const LARGE_EVERY = 5;
const LARGE = 12 * KIB * KIB;

export function createStock(registry: ScriptedRegistry, seed: number): Stock {
  const targets: Target[] = [];
  const digests = new Set<string>();
  let shared = randomBlob(`${seed} shared`, 300 * KIB);
  let made = 0;

  function add(path: string, content: Blob, headers: Target['headers'] = {}): void {
    targets.push({ path, content, headers });
    digests.add(content.digest);
  }

  function addImage(repository: string, tag: string, image: Image): void {
    registry.putImage(repository, image, tag);
    const headers = { accept: ANY_MANIFEST };
    add(manifestPath(repository, image.manifest), image.manifest, headers);
    add(manifestPath(repository, tag), image.manifest, headers);
    for (const blob of [image.config, ...image.layers]) add(blobPath(repository, blob), blob);
  }

  return {
    renew() {
      const image = craftImage({ seed: `${seed} ${made}`, layers: [1, 40 * KIB, 700 * KIB, 2_000 * KIB] });
      const repository = REPOSITORIES[made % REPOSITORIES.length] ?? REPOSITORIES[0];
      addImage(repository, `v${made}`, image);
      for (const other of REPOSITORIES) {
        registry.put({ repository: other, blobs: [shared] });
        add(blobPath(other, shared), shared);
      }
      if (made % LARGE_EVERY === 0) {
        const large = randomBlob(`${seed} large ${made}`, LARGE);
        registry.put({ repository, blobs: [large] });
        add(blobPath(repository, large), large);
      }
      shared = image.layers.at(-1) ?? shared;
      made += 1;
    },
    pick(random) {
      const newest = random() < 0.8 ? Math.min(NEW, targets.length) : targets.length;
      const target = targets[targets.length - 1 - Math.floor(random() * newest)];
      if (target === undefined) throw new Error('there is nothing to pull');
      return target;
    },
    all: () => targets,
    knows: (digest) => digests.has(digest),
  };
}
