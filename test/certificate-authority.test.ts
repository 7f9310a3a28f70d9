import { chmod, copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAuthority } from '../src/ca/authority.ts';
import { makeCertificate, openssl, ROOT_EXTENSIONS, temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { run } from './lab/job.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy } from './lab/proxy.ts';
import { serveCommand, startLocalProxy, tryToServe } from './support/local-proxy.ts';
import { askPlain, openSecure } from './support/wire.ts';

describe('a folder that docker-registry-proxy made', () => {
  let lab: Lab;
  let folder: string;

  beforeAll(async () => {
    lab = await startLab();
    folder = join(lab.work, 'reference-ca');
    await mkdir(folder);
    await referenceCa(folder);
  });

  afterAll(async () => {
    await lab?.down();
  });

  test('serves the clients that trust its root, and stays as it is', async () => {
    const before = await contents(folder);
    const root = join(lab.work, 'root-as-clients-have-it.crt');
    await copyFile(join(folder, 'ca.crt'), root);

    const proxy = await startProxy(lab, { caDir: folder });
    const clients = lab.clients({ proxy: proxy.url, ca: root });
    const { multi } = lab.images;
    for (const name of ['podman', 'docker', 'containerd'] as const) {
      expect((await clients[name].pull(multi.ref)).digest).toBe(multi.digest);
    }
    await clients.skopeo.pull(multi.ref);
    expect(proxy.log).toContain('CN=DockerMirrorBox CA Root');
    expect(proxy.log).not.toContain('made just now');
    await proxy.restart();
    await clients.skopeo.pull(multi.ref);
    await proxy.stop();

    expect(await contents(folder)).toEqual(before);
  });
});

describe("the proxy's own authority", () => {
  test('is made once, for its owner alone, and kept across restarts', async () => {
    await using folder = await temporaryFolder();
    const fingerprints: string[] = [];
    for (const made of [true, false]) {
      await using proxy = await startLocalProxy(folder.path);
      const line = await proxy.untilLogged((text) => text.includes('CA SHA-256'));
      fingerprints.push(line);
      expect(proxy.log.join('\n').includes('made just now')).toBe(made);
      (await openSecure(proxy, 'ghcr.io:443')).destroy();
    }
    expect(fingerprints[1]).toBe(fingerprints[0]);
    const ca = join(folder.path, 'ca');
    expect((await readdir(ca)).sort()).toEqual(['ca.crt', 'ca.key']);
    expect((await stat(join(ca, 'ca.key'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(ca, 'ca.crt'))).mode & 0o777).toBe(0o644);
    expect((await stat(ca)).mode & 0o777).toBe(0o700);
  });
});

describe("the user's own authority", () => {
  test('is used from the files that are named, its key encrypted', async () => {
    await using folder = await temporaryFolder();
    const { key, certificate } = await makeCertificate(folder.path, 'own', {
      commonName: 'Our own',
      extensions: ROOT_EXTENSIONS,
    });
    const encrypted = join(folder.path, 'encrypted.key');
    await openssl('pkey', '-in', key, '-aes256', '-passout', 'pass:marked-secret sesame', '-out', encrypted);
    const settings = { CA_CRT_FILE: certificate, CA_KEY_FILE: encrypted };

    await using proxy = await startLocalProxy(folder.path, {
      ...settings,
      CA_KEY_PASSPHRASE: 'marked-secret sesame',
    });
    const ca = await readFile(certificate);
    (await openSecure(proxy, 'ghcr.io:443', { ca })).destroy();
    expect((await askPlain(proxy, '/ca.crt')).body).toEqual(ca);
    expect(await readdir(folder.path)).not.toContain('ca');

    const refused = await tryToServe({
      ...settings,
      CA_KEY_PASSPHRASE: 'marked-secret simsim',
      ...homeOf(folder.path),
    });
    expect([refused.code, refused.stdout.length]).toEqual([2, 0]);
    expect(refused.stderr).toContain(`${encrypted} is encrypted`);
    expect(refused.stderr).toContain('Give its passphrase');
    expect(refused.stderr).not.toContain('simsim');
  });
});

describe('an authority that cannot be used ends the start with what, where and how to mend it', () => {
  test('a key that does not fit its certificate', async () => {
    await using folder = await temporaryFolder();
    const request = { commonName: 'One', extensions: ROOT_EXTENSIONS };
    const one = await makeCertificate(folder.path, 'one', request);
    const other = await makeCertificate(folder.path, 'other', request);
    const { code, stderr } = await tryToServe({
      ...homeOf(folder.path),
      CA_CRT_FILE: one.certificate,
      CA_KEY_FILE: other.key,
    });
    expect(code).toBe(2);
    expect(stderr).toBe(
      `breakwater: The key in ${other.key} does not fit the first certificate in ${one.certificate} (O=ME, CN=One).\n` +
        'Put the key there that this certificate was made with, or the certificate that was made with this key.\n',
    );
  });

  test('an expired root', async () => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, 'ca');
    await loadAuthority({ directory, now: () => Date.UTC(2011, 0, 1) });
    const { code, stderr } = await tryToServe(homeOf(folder.path));
    expect(code).toBe(2);
    expect(stderr).toMatch(/^breakwater: CN=Breakwater CA .* in .*\/ca\/ca\.crt expired on 2020-12-29T/);
    expect(stderr).toContain('\nRenew it, ');
  });

  test('a folder that may not be read', async () => {
    await using folder = await temporaryFolder();
    const ca = join(folder.path, 'ca');
    await mkdir(ca);
    await chmod(ca, 0o000);
    const { argv, env } = serveCommand(homeOf(folder.path));
    // even as root, without the right to read what is closed
    const powerless = ['setpriv', '--bounding-set', '-dac_override,-dac_read_search'];
    const { code, stderr } = await run([...powerless, ...argv], { env, mayFail: true });
    expect(code).toBe(2);
    expect(stderr).toContain(
      `The CA file ${join(ca, 'ca.crt')} cannot be read: permission denied.\nGive uid 0 `,
    );
  });

  test('a folder that is a file', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'ca'), '');
    const { code, stderr } = await tryToServe(homeOf(folder.path));
    expect(code).toBe(2);
    expect(stderr).toContain(join(folder.path, 'ca'));
    expect(stderr).toContain('part of its path is not a folder');
  });
});

/** The commands of docker-registry-proxy 0.7.0 that make its root. */
async function referenceCa(folder: string): Promise<void> {
  const file = (name: string): string => join(folder, name);
  const passphrase = ['-passin', 'pass:foobar'];
  await openssl('genrsa', '-des3', '-passout', 'pass:foobar', '-out', file('ca.key'), '4096');
  const subject =
    '/C=NL/ST=Noord Holland/L=Amsterdam/O=ME/OU=IT/CN=DockerMirrorBox CA Root lab 2026.11.24 06:00';
  const sections = ['[req]', 'distinguished_name = dn', '[dn]', '[IA]', ...ROOT_EXTENSIONS, ''];
  await writeFile(file('ca.cnf'), sections.join('\n'));
  const named = ['-subj', subject, '-extensions', 'IA', '-config', file('ca.cnf'), '-out', file('ca.crt')];
  const request = ['-new', '-x509', '-days', '1300', '-sha256', '-key', file('ca.key'), ...passphrase];
  await openssl('req', ...request, ...named);
  await writeFile(file('ca.srl'), '01\n');
}

/** Every file's bytes, permissions and time of change. */
async function contents(folder: string): Promise<Map<string, readonly unknown[]>> {
  const found = new Map<string, readonly unknown[]>();
  for (const name of (await readdir(folder)).sort()) {
    const { mode, mtimeMs } = await stat(join(folder, name));
    found.set(name, [await readFile(join(folder, name), 'utf8'), mode, mtimeMs]);
  }
  return found;
}

function homeOf(folder: string): Record<string, string> {
  return { LISTEN: '127.0.0.1:0', CACHE_DIR: join(folder, 'cache'), CA_DIR: join(folder, 'ca') };
}
