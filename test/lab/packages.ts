import { existsSync } from 'node:fs';
import { run } from './job.ts';

/** The Debian packages that the registries and clients of the lab come from. */
const PACKAGES = [
  'apache2-utils',
  'aardvark-dns',
  'buildah',
  'busybox-static',
  'containerd',
  'curl',
  'dnsmasq-base',
  'docker-registry',
  'docker.io',
  'e2fsprogs',
  'iproute2',
  'iptables',
  'microsocks',
  'netavark',
  'openssl',
  'podman',
  'prometheus',
  'runc',
  'shellcheck',
  'skopeo',
  'strace',
  'tinyproxy',
  'util-linux',
] as const;

/** Installs what is missing, or says in one error how to. */
export async function ensurePackages(): Promise<void> {
  const missing = await missingPackages();
  if (missing.length === 0) return;
  const install = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new Error(`the lab needs packages that are not installed; as root on Debian: ${install}`);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const patience = { env, timeoutMs: 600_000 };
  // Another lab may be installing the same things right now.
  const lock = ['-q', '-o', 'DPkg::Lock::Timeout=300'];
  await run(['apt-get', ...lock, 'update'], patience);
  await run(['apt-get', ...lock, 'install', '-y', '--no-install-recommends', ...missing], patience);
}

async function missingPackages(): Promise<string[]> {
  const query = ['dpkg-query', '--show', '--showformat=${db:Status-Abbrev}${Package}\n', ...PACKAGES];
  const { stdout } = await run(query, { mayFail: true });
  const installed = new Set(
    stdout
      .toString()
      .split('\n')
      .filter((line) => line.startsWith('ii '))
      .map((line) => line.slice(3).trim()),
  );
  return PACKAGES.filter((name) => !installed.has(name));
}
