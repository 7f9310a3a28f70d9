import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './job.ts';
import type { Pki } from './pki.ts';
import { Server, type ServerRequest } from './server.ts';
import type { Space } from './space.ts';
import { TOKEN_HOST, TOKEN_SERVICE } from './token-server.ts';
import { ALICE } from './users.ts';

interface RegistrySpec {
  readonly address: string;
  /** The first is the name clients talk to. */
  readonly hosts: readonly [string, ...string[]];
  /** `token` sends clients to the token server, `basic` knows only Alice. */
  readonly auth: 'token' | 'basic' | 'none';
  /** Host that blobs are redirected to. */
  readonly cdn?: string;
}

/** Adding a registry to the lab is adding it here. */
export const REGISTRIES = {
  hub: {
    address: '127.0.0.2',
    hosts: ['registry-1.docker.io', 'index.docker.io', 'docker.io'],
    auth: 'token',
    cdn: 'production.cloudflare.docker.com',
  },
  quay: { address: '127.0.0.4', hosts: ['quay.io'], auth: 'basic' },
  ghcr: { address: '127.0.0.5', hosts: ['ghcr.io'], auth: 'none' },
} as const satisfies Record<string, RegistrySpec>;

export type RegistryName = keyof typeof REGISTRIES;

interface RegistryRequest extends ServerRequest {
  readonly status: number;
  readonly userAgent: string;
}

export type Registry = Server<RegistryRequest>;

/** Where a registry keeps its files. */
export function registryRoot(work: string, name: string): string {
  return join(work, 'registries', name);
}

/** Writes the settings of one registry; the server is not started yet. */
export async function createRegistry(
  space: Space,
  work: string,
  pki: Pki,
  name: RegistryName,
): Promise<Registry> {
  const spec: RegistrySpec = REGISTRIES[name];
  const root = registryRoot(work, name);
  await mkdir(root, { recursive: true });
  const config = {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: false } },
    storage: {
      cache: { blobdescriptor: 'inmemory' },
      filesystem: { rootdirectory: root },
      delete: { enabled: true },
      redirect: { disable: spec.cdn === undefined },
    },
    ...(spec.cdn === undefined ? {} : { middleware: { storage: [redirectTo(spec.cdn)] } }),
    http: {
      addr: `${spec.address}:443`,
      secret: 'lab',
      tls: { certificate: pki.serverCert, key: pki.serverKey },
    },
    ...(await authConfig(spec.auth, root, pki)),
  };
  // JSON is YAML.
  const file = `${root}.yml`;
  await writeFile(file, JSON.stringify(config, null, 2));
  return new Server(space, {
    name,
    host: spec.hosts[0],
    address: spec.address,
    command: ['docker-registry', 'serve', file],
    parse: parseAccessLog,
  });
}

function redirectTo(host: string) {
  return { name: 'redirect', options: { baseurl: `https://${host}/` } };
}

async function authConfig(auth: RegistrySpec['auth'], root: string, pki: Pki): Promise<object> {
  if (auth === 'none') return {};
  if (auth === 'basic') {
    const { stdout } = await run(['htpasswd', '-Bbn', ALICE.username, ALICE.password]);
    const path = `${root}.htpasswd`;
    await writeFile(path, stdout);
    return { auth: { htpasswd: { realm: 'basic-realm', path } } };
  }
  const realm = `https://${TOKEN_HOST}/token`;
  return {
    auth: { token: { realm, service: TOKEN_SERVICE, issuer: TOKEN_HOST, rootcertbundle: pki.tokenCert } },
  };
}

// 127.0.0.1 - - [24/Nov/2026:06:19:00 +0000] "GET /v2/ HTTP/1.1" 401 87 "" "skopeo/1.9.3"
const ACCESS_LINE = /^\S+ \S+ \S+ \[[^\]]*\] "(\S+) (\S+) [^"]*" (\d{3}) \d+ "[^"]*" "(.*)"$/;

function parseAccessLog(line: string): RegistryRequest | undefined {
  const [, method, path, status, userAgent] = ACCESS_LINE.exec(line) ?? [];
  if (method === undefined || path === undefined || userAgent === undefined) return undefined;
  return { method, path, status: Number(status), userAgent };
}
