import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, ROOT_EXTENSIONS } from '../src/ca/openssl.fixture.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { PROXY_ADDRESS, PROXY_HOST, startProxy, type Proxy } from './lab/proxy.ts';

const USER = 'nodes';
const PASSWORD = 'marked-secret-login';
const TLS_PORT = 3129;

let lab: Lab;
let proxy: Proxy;
/** What clients trust: the authority of the proxy, and that of its own certificate. */
let trusted: string;

beforeAll(async () => {
  lab = await startLab();
  const users = join(lab.work, 'proxy-users');
  const line = execFileSync('htpasswd', ['-nbB', '-C5', USER, PASSWORD], { encoding: 'utf8' });
  await writeFile(users, line);
  const root = await makeCertificate(lab.work, 'proxy-root', {
    commonName: 'root',
    extensions: ROOT_EXTENSIONS,
  });
  const own = await makeCertificate(lab.work, 'proxy-own', {
    commonName: PROXY_HOST,
    extensions: [`subjectAltName = DNS:${PROXY_HOST}`],
    issuer: root,
  });
  proxy = await startProxy(lab, {
    env: {
      PROXY_USERS_FILE: users,
      LISTEN_TLS: `${PROXY_ADDRESS}:${TLS_PORT}`,
      LISTEN_TLS_CERT_FILE: own.certificate,
      LISTEN_TLS_KEY_FILE: own.key,
      LOG_LEVEL: 'trace',
    },
  });
  trusted = join(lab.work, 'trusted-by-clients.pem');
  await writeFile(trusted, (await readFile(proxy.ca, 'utf8')) + (await readFile(root.certificate, 'utf8')));
});

afterAll(async () => {
  await lab?.down();
});

describe.each([
  ['HTTPS_PROXY=http://user:password@…', (login: string) => `http://${login}@${PROXY_HOST}:3128`],
  ['HTTPS_PROXY=https://user:password@…', (login: string) => `https://${login}@${PROXY_HOST}:${TLS_PORT}`],
] as const)('%s', (_name, url) => {
  test.each(['skopeo', 'podman', 'docker', 'containerd'] as const)('%s pulls', async (name) => {
    proxy.forget();
    const client = lab.clients({ proxy: url(`${USER}:${PASSWORD}`), ca: trusted })[name];
    const { digest } = await client.pull(lab.images.single.ref);
    expect(digest).toBe(
      name === 'skopeo' ? lab.images.single.manifests[0]?.digest : lab.images.single.digest,
    );
    const line = await proxy.until(
      ({ uri, status }) => uri?.includes('/blobs/') === true && status === '200',
    );
    expect(line).toMatchObject({ user: USER });
    const lines = proxy.requests();
    expect(lines.filter((request) => request['user'] !== USER)).toEqual([]);
  });

  test.each(['skopeo', 'podman', 'docker', 'containerd'] as const)(
    '%s is told where the password is wrong',
    async (name) => {
      proxy.forget();
      const client = lab.clients({ proxy: url(`${USER}:marked-secret-wrong`), ca: trusted })[name];
      await expect(client.pull(lab.images.single.ref)).rejects.toThrow(/Proxy Authentication Required/);
      const line = await proxy.until(({ method }) => method === 'CONNECT');
      expect(line).toMatchObject({ status: '407', error: 'LOGIN_REQUIRED' });
    },
  );
});

test('the password is in nothing that the proxy wrote', () => {
  const written = proxy.log + JSON.stringify(proxy.requests());
  for (const secret of [PASSWORD, Buffer.from(`${USER}:${PASSWORD}`).toString('base64')])
    expect(written).not.toContain(secret);
});
