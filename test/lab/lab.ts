import { join } from 'node:path';
import { CDN_ADDRESS, CDN_HOST, createCdn, type CdnRequest } from './cdn.ts';
import { Clients } from './clients/clients.ts';
import { commandLine } from './command-line.ts';
import { cgroupParent, createWorkFolder, removeWorkFolder, sweep, writeState } from './folder.ts';
import { craftImage, type Image, type ImageSpec } from './image.ts';
import { ensurePackages } from './packages.ts';
import { createPki } from './pki.ts';
import { PROXY_ADDRESS, PROXY_HOST } from './proxy.ts';
import { createRegistry, REGISTRIES, registryRoot, type Registry, type RegistryName } from './registries.ts';
import type { Server, ServerRequest } from './server.ts';
import { openSpace, type HostEntry, type Space } from './space.ts';
import { pushImage, pushStock, type Pushed, type Stock } from './stock.ts';
import { createTokenServer, TOKEN_ADDRESS, TOKEN_HOST, type TokenRequest } from './token-server.ts';
import type { Credentials } from './users.ts';

export interface LabOptions {
  /** How long tokens of the hub are good for. */
  readonly tokenSeconds?: number;
  /** Kept for people: the command line finds such labs, and no other. */
  readonly byHand?: boolean;
}

export interface ClientOptions {
  /** URL of the proxy; without one the clients go straight to the registries. */
  readonly proxy?: string;
  /** PEM file of the only authority they trust; the default is that of the registries. */
  readonly ca?: string;
}

export interface Lab extends Readonly<Record<RegistryName, Registry>> {
  /** Everything the lab writes is in this folder. */
  readonly work: string;
  /** PEM file of the authority behind all upstream servers. */
  readonly ca: string;
  /** Where the servers and the proxy run: all names resolve. */
  readonly space: Space;
  /** Where clients of a proxy run: no name resolves but the proxy's. */
  readonly clientSpace: Space;
  readonly tokens: Server<TokenRequest>;
  readonly cdn: Server<CdnRequest>;
  readonly images: Stock;
  readonly clients: (options?: ClientOptions) => Clients;
  readonly craft: (spec: ImageSpec) => Promise<Image>;
  readonly push: (image: Image, ref: string, credentials?: Credentials) => Promise<Pushed>;
  /** While off, upstream names do not resolve: an outage of DNS. */
  readonly setNames: (on: boolean) => Promise<void>;
  /** Forgets the requests of all upstream servers. */
  readonly forget: () => Promise<void>;
  /** Something to end when the lab goes down, the newest first. */
  readonly onDown: (cleanup: () => Promise<void>) => void;
  readonly down: () => Promise<void>;
}

const PROXY_NAMES: HostEntry = { address: PROXY_ADDRESS, hosts: [PROXY_HOST] };
const UPSTREAM_NAMES: readonly HostEntry[] = [
  ...Object.values(REGISTRIES),
  { address: TOKEN_ADDRESS, hosts: [TOKEN_HOST] },
  { address: CDN_ADDRESS, hosts: [CDN_HOST, 'cdn.quay.io'] },
];

/** Real registries with images in them, in namespaces of their own. */
export async function startLab(options: LabOptions = {}): Promise<Lab> {
  await ensurePackages();
  await sweep();
  const cleanups: (() => Promise<void>)[] = [];
  const onDown = (cleanup: () => Promise<void>): void => void cleanups.push(cleanup);
  const down = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (let end = cleanups.pop(); end !== undefined; end = cleanups.pop()) {
      await end().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw new AggregateError(failures, 'the lab did not go down cleanly');
  };
  try {
    return await bringUp(options, onDown, down);
  } catch (error) {
    await down();
    throw error;
  }
}

async function bringUp(options: LabOptions, onDown: Lab['onDown'], down: Lab['down']): Promise<Lab> {
  const work = await createWorkFolder();
  onDown(() => removeWorkFolder(work));
  const names = [...UPSTREAM_NAMES, PROXY_NAMES];
  const space = await openSpace(work, names);
  onDown(() => space.close());
  const upstreamHosts = UPSTREAM_NAMES.flatMap(({ hosts }) => hosts);
  const pki = await createPki(join(work, 'pki'), upstreamHosts);
  const clientSpace = await space.nested(join(work, 'space', 'hosts-clients'), [PROXY_NAMES]);
  await writeState(work, {
    byHand: options.byHand ?? false,
    servers: space.pid,
    clients: clientSpace.pid,
  });

  const create = (name: RegistryName): Promise<Registry> => createRegistry(space, work, pki, name);
  const registries = { hub: await create('hub'), quay: await create('quay'), ghcr: await create('ghcr') };
  const tokens = createTokenServer(space, pki, options.tokenSeconds ?? 300);
  const cdn = createCdn(space, pki, { [CDN_HOST]: registryRoot(work, 'hub') });
  const servers: readonly Server<ServerRequest>[] = [...Object.values(registries), tokens, cdn];
  await Promise.all(servers.map((server) => server.start()));
  const images = await pushStock(space, pki.caCert, join(work, 'images'));
  const forget = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.forget()));
  };
  await forget();

  let made = 0;
  const clients = ({ proxy, ca }: ClientOptions = {}): Clients => {
    const set = new Clients({
      space: proxy === undefined ? space : clientSpace,
      folder: join(work, 'clients', String(++made)),
      ca: ca ?? pki.caCert,
      proxy,
      cgroupParent: cgroupParent(work),
    });
    onDown(() => set.close());
    return set;
  };
  return {
    ...registries,
    work,
    ca: pki.caCert,
    space,
    clientSpace,
    tokens,
    cdn,
    images,
    clients,
    craft: (spec) => craftImage(join(work, 'images'), spec),
    push: (image, ref, credentials) => pushImage(space, pki.caCert, image, ref, credentials),
    setNames: (on) => space.setHosts(on ? names : [PROXY_NAMES]),
    forget,
    onDown,
    down,
  };
}

if (import.meta.main) process.exitCode = await commandLine(process.argv.slice(2), startLab);
