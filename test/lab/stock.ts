import { rm } from 'node:fs/promises';
import { craftImage, type Image, type ImageSpec } from './image.ts';
import type { Space } from './space.ts';
import { ALICE, type Credentials } from './users.ts';

const MB = 1_000_000;

const MULTI = {
  seed: 'multi',
  layers: [1 * MB, 3 * MB, 8 * MB],
  platforms: ['linux/amd64', 'linux/arm64'],
} as const satisfies ImageSpec;

interface StockImage {
  readonly ref: string;
  readonly spec: ImageSpec;
  readonly credentials?: Credentials;
}

/** What every lab's registries hold from the start. */
const STOCK = {
  /** An OCI index of two platforms. */
  multi: { ref: 'docker.io/library/multi:1', spec: MULTI, credentials: ALICE },
  /** The same layers under Docker's media types. */
  multiDocker: {
    ref: 'docker.io/library/multi:v2s2',
    spec: { ...MULTI, mediaTypes: 'docker' },
    credentials: ALICE,
  },
  single: {
    ref: 'docker.io/library/single:1',
    spec: { seed: 'single', layers: [2 * MB, 1 * MB] },
    credentials: ALICE,
  },
  secret: {
    ref: 'docker.io/alice/secret:1',
    spec: { seed: 'secret', layers: [1 * MB] },
    credentials: ALICE,
  },
  /** The next two share path and tag and no byte. */
  quayApp: {
    ref: 'quay.io/team/app:1.0',
    spec: { seed: 'quay app 1.0', layers: [2 * MB] },
    credentials: ALICE,
  },
  ghcrApp: { ref: 'ghcr.io/team/app:1.0', spec: { seed: 'ghcr app 1.0', layers: [2 * MB] } },
  ghcrAppNewer: { ref: 'ghcr.io/team/app:22.04', spec: { seed: 'ghcr app 22.04', layers: [1 * MB, 1 * MB] } },
} as const satisfies Record<string, StockImage>;

type StockName = keyof typeof STOCK;

/** An image as pushed. */
export interface Pushed extends Image {
  readonly ref: string;
}

export type Stock = Readonly<Record<StockName, Pushed>>;

/** Pushes with skopeo, byte for byte, past any proxy. */
export async function pushImage(
  space: Space,
  ca: string,
  image: Image,
  ref: string,
  credentials?: Credentials,
): Promise<Pushed> {
  const login =
    credentials === undefined ? [] : ['--dest-creds', `${credentials.username}:${credentials.password}`];
  const copy = ['skopeo', '--insecure-policy', 'copy', '--quiet', '--all', '--preserve-digests', ...login];
  await space.run([...copy, `dir:${image.folder}`, `docker://${ref}`], { env: { SSL_CERT_FILE: ca } });
  return { ...image, ref };
}

/** Crafts and pushes the stock; its files are not needed afterwards. */
export async function pushStock(space: Space, ca: string, work: string): Promise<Stock> {
  const push = async ({ ref, spec, credentials }: StockImage): Promise<Pushed> => {
    const image = await craftImage(work, spec);
    const pushed = await pushImage(space, ca, image, ref, credentials);
    await rm(image.folder, { recursive: true });
    return pushed;
  };
  const { multi, multiDocker, ...others } = STOCK;
  // One after the other: the second finds the layers of the first already there.
  const pair = push(multi).then(async (first) => ({ multi: first, multiDocker: await push(multiDocker) }));
  const [twins, single, secret, quayApp, ghcrApp, ghcrAppNewer] = await Promise.all([
    pair,
    push(others.single),
    push(others.secret),
    push(others.quayApp),
    push(others.ghcrApp),
    push(others.ghcrAppNewer),
  ]);
  return { ...twins, single, secret, quayApp, ghcrApp, ghcrAppNewer };
}
