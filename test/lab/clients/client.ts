import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Space } from '../space.ts';
import type { Credentials } from '../users.ts';

/** How a client gets out, and whom it trusts. */
export interface ClientSettings {
  /** Where it runs. */
  readonly space: Space;
  /** A folder of its own for everything it writes. */
  readonly folder: string;
  /** PEM file of the only authority it trusts. */
  readonly ca: string;
  readonly proxy: string | undefined;
  readonly cgroupParent: string;
}

export interface PullOptions {
  readonly credentials?: Credentials;
  /** For example `linux/arm64`; the default is the machine's own. */
  readonly platform?: string;
}

export interface PushOptions {
  readonly credentials?: Credentials;
}

export interface Pulled {
  /** Of what the reference names: the index where there is one, but with skopeo the manifest it chose there. */
  readonly digest: string;
}

/** The variables by which programs written in Go, and curl, learn of the proxy and its authority. */
export async function clientEnv({ folder, ca, proxy }: ClientSettings): Promise<Record<string, string>> {
  const none = join(folder, 'no-certificates');
  await mkdir(none, { recursive: true });
  return {
    SSL_CERT_FILE: ca,
    // Else the machine's own authorities would be trusted as well.
    SSL_CERT_DIR: none,
    ...(proxy === undefined ? {} : { HTTPS_PROXY: proxy }),
  };
}

export function basicPair({ username, password }: Credentials): string {
  return `${username}:${password}`;
}

export function platformFlags(platform: string | undefined): string[] {
  return platform === undefined ? [] : ['--platform', platform];
}
