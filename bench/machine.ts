import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

/** Where each side runs, so that the load takes nothing from the server. */
export interface Pinning {
  /** Command and flags to put before a server's, and before the load generator's. */
  readonly server: readonly string[];
  readonly client: readonly string[];
  readonly text: string;
}

export function pinning(): Pinning {
  const able = cpus().length >= 2 && spawnSync('taskset', ['-c', '0', 'true']).status === 0;
  if (!able) return { server: [], client: [], text: 'nothing pinned (needs taskset and two CPUs)' };
  return {
    server: ['taskset', '-c', '0'],
    client: ['taskset', '-c', '1'],
    text: 'server on CPU 0, load generator on CPU 1',
  };
}

export function describeMachine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${processors.length} × ${processors[0]?.model ?? 'unknown CPU'}, ${memory} GiB, Linux ${release()}`;
}

/** Node's own OpenSSL, and the system's that nginx uses. */
export function describeVersions(nginx: string | undefined): string {
  const node = `Node ${process.version} (OpenSSL ${process.versions.openssl})`;
  if (nginx === undefined) return node;
  const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout.trim();
  return `${node}, nginx ${nginx} (${openssl.replace(/ \(.*/, '')})`;
}
