import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, rename } from 'node:fs/promises';
import { createServer, type ServerOptions } from 'node:https';
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { Job } from './lab/job.ts';
import { createPullClient, type Pulled } from './upstream/pull-client.ts';
import { startProxy, type ProxyProcess } from './upstream/start-proxy.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const servers: Server[] = [];
let server: Job | undefined;

beforeAll(async () => {
  folder = await temporaryFolder();
  makeAuthority('known');
  makeAuthority('private');
  makeAuthority('late');
  // a chain of seven: rpardini's proxy_ssl_verify_depth was two, and Docker Hub's grew
  for (let at = 1; at <= 6; at += 1) makeAuthority(`step-${at}`, at === 1 ? 'known' : `step-${at - 1}`);
});

afterAll(async () => {
  for (const each of servers) each.close();
  await server?.stop();
  await folder?.[Symbol.asyncDispose]();
});

function file(name: string): string {
  return join(folder.path, name);
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { cwd: folder.path, stdio: ['ignore', 'pipe', 'pipe'] });
}

function makeAuthority(name: string, issuer?: string): void {
  issue(name, issuer, 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign', '3650');
}

function makeLeaf(name: string, issuer: string, names = 'DNS:localhost,IP:127.0.0.1', days = '30'): void {
  issue(name, issuer, `subjectAltName=${names}\nbasicConstraints=CA:FALSE`, days);
}

function issue(name: string, issuer: string | undefined, extensions: string, days: string): void {
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', `${name}.key`);
  openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
  writeFileSync(file(`${name}.ext`), extensions);
  const by =
    issuer === undefined
      ? ['-signkey', `${name}.key`]
      : ['-CA', `${issuer}.crt`, '-CAkey', `${issuer}.key`, '-CAcreateserial'];
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...by,
    '-days',
    days,
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.crt`,
  );
}

/** A registry of one leaf and what is sent with it; gives its name. */
async function serve(
  leaf: string,
  chain: readonly string[] = [],
  options: ServerOptions = {},
): Promise<string> {
  const cert = [leaf, ...chain].map((name) => readFileSync(file(`${name}.crt`), 'utf8')).join('');
  return listening(
    createServer({ cert, key: readFileSync(file(`${leaf}.key`)), ...options }, (_request, response) =>
      response.end('{"name":"a","tags":[]}'),
    ),
  );
}

/** The same by OpenSSL, for clients that show a certificate; it says why it turns others away. */
async function serveWithOpenssl(leaf: string, clients: string): Promise<string> {
  const asking = ['-Verify', '1', '-verify_return_error', '-CAfile', file(`${clients}.crt`)];
  const own = ['-cert', file(`${leaf}.crt`), '-key', file(`${leaf}.key`)];
  server = new Job(['openssl', 's_server', '-accept', '0', '-www', ...own, ...asking]);
  const line = await server.stdout.until((text) => text.startsWith('ACCEPT'));
  return `localhost:${line.split(':').at(-1)}`;
}

async function listening(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // a server on a port has an address that is an object
  return `localhost:${(server.address() as AddressInfo).port}`;
}

function start(hosts: readonly string[], env: Readonly<Record<string, string>>): Promise<ProxyProcess> {
  return startProxy({
    registries: hosts.map((host) => ({ tls: true, host })),
    env: { EXTRA_CA_FILE: file('known.crt'), ...env },
  });
}

async function list(proxy: ProxyProcess, host: string): Promise<Pulled> {
  using client = createPullClient(proxy, host);
  return client.get('/v2/a/tags/list');
}

/** The reason of a failure, and what mends it. */
function said({ status, body }: Pulled): { status: number; text: string } {
  return { status, text: body.toString() };
}

describe('certificates that are not accepted: what is wrong, and the setting that mends it', () => {
  let proxy: ProxyProcess;
  const hosts: Record<string, string> = {};

  beforeAll(async () => {
    makeLeaf('stranger', 'private');
    makeLeaf('other-name', 'known', 'DNS:elsewhere.test');
    makeLeaf('expired', 'known', undefined, '-1');
    makeLeaf('chainless', 'step-6');
    makeLeaf('wants-client', 'known');
    makeLeaf('old-tls', 'known');
    hosts['stranger'] = await serve('stranger');
    hosts['otherName'] = await serve('other-name');
    hosts['expired'] = await serve('expired');
    hosts['chainless'] = await serve('chainless');
    hosts['wantsClient'] = await serveWithOpenssl('wants-client', 'private');
    hosts['plain'] = await listening(createHttpServer((_request, response) => response.end()));
    hosts['oldTls'] = await serve('old-tls', [], { maxVersion: 'TLSv1.2' });
    proxy = await start(Object.values(hosts), {
      CONNECTION_RULES: JSON.stringify([{ host: hosts['oldTls'], min_tls: '1.3' }]),
    });
  });

  afterAll(() => proxy?.[Symbol.asyncDispose]());

  test.each([
    ['stranger', 'authority that is not known here', 'EXTRA_CA_FILE'],
    ['otherName', 'is for another name', 'server_name'],
    ['expired', 'has expired', 'verify: false'],
    ['chainless', 'authority that is not known here', 'whole chain'],
    ['wantsClient', 'wants a client certificate', 'client_certificate_file'],
    ['plain', 'does not speak TLS on this port', 'http://host:port in REGISTRIES'],
    ['oldTls', 'no version of TLS that is allowed', 'min_tls'],
  ])('%s', async (name, reason, mend) => {
    const host = hosts[name] ?? '';
    const { status, text } = said(await list(proxy, host));
    expect([status, text]).toEqual([502, expect.stringContaining('UPSTREAM_TLS')]);
    expect(text).toContain(`${host}: `);
    expect(text).toContain(reason);
    expect(text).toContain(mend);
  });
});

describe('certificates that are accepted', () => {
  test('a chain of eight, by its root alone', async () => {
    makeLeaf('deep', 'step-6');
    const host = await serve('deep', ['step-6', 'step-5', 'step-4', 'step-3', 'step-2', 'step-1']);
    await using proxy = await start([host], {});
    expect((await list(proxy, host)).status).toBe(200);
  });

  test('by rules: an authority of its own, a client certificate, another name, any certificate', async () => {
    makeLeaf('mutual', 'private');
    makeLeaf('client', 'private', 'DNS:breakwater');
    makeLeaf('renamed', 'known', 'DNS:elsewhere.test');
    makeLeaf('nobodys', 'late');
    const mutual = await serve('mutual', [], {
      requestCert: true,
      ca: readFileSync(file('private.crt')),
      minVersion: 'TLSv1.3',
    });
    const renamed = await serve('renamed');
    const nobodys = await serve('nobodys');
    const rules = [
      {
        host: mutual,
        ca_file: file('private.crt'),
        client_certificate_file: file('client.crt'),
        client_key_file: file('client.key'),
        min_tls: '1.3',
      },
      { host: renamed, server_name: 'elsewhere.test' },
      { host: nobodys, verify: false },
    ];
    await using proxy = await start([mutual, renamed, nobodys], { CONNECTION_RULES: JSON.stringify(rules) });
    for (const host of [mutual, renamed, nobodys])
      expect([host, (await list(proxy, host)).status]).toEqual([host, 200]);
  });

  test('by VERIFY_SSL=false, with a warning at each start', async () => {
    makeLeaf('unseen', 'late', 'DNS:elsewhere.test');
    const host = await serve('unseen');
    await using proxy = await start([host], { VERIFY_SSL: 'false' });
    expect((await list(proxy, host)).status).toBe(200);
    await proxy.restart();
    expect(
      proxy.stderr.match(/VERIFY_SSL=false: the certificates of registries are not verified/g),
    ).toHaveLength(2);
  });

  test('by a folder, and by what is put there later', async () => {
    const certificates = file('certificates');
    await mkdir(certificates);
    await copyFile(file('private.crt'), join(certificates, 'private.pem'));
    writeFileSync(join(certificates, 'README'), 'no certificate');
    makeLeaf('early', 'private');
    makeLeaf('later', 'late');
    const [early, later] = [await serve('early'), await serve('later')];
    await using proxy = await start([early, later], { EXTRA_CA_DIR: certificates });
    expect((await list(proxy, early)).status).toBe(200);
    expect((await list(proxy, later)).status).toBe(502);

    // half a file is none, and what was there stays
    writeFileSync(join(certificates, 'late.crt'), '-----BEGIN CERT');
    await expect.poll(() => proxy.stderr).toContain('could not be read again');
    expect((await list(proxy, early)).status).toBe(200);
    await copyFile(file('late.crt'), file('late.new'));
    await rename(file('late.new'), join(certificates, 'late.crt'));
    await expect.poll(() => proxy.stderr).toContain('certificates for upstream were read again');
    expect((await list(proxy, later)).status).toBe(200);
  });
});

describe('settings that cannot be used', () => {
  test.each([
    [
      'a file that is not there',
      { EXTRA_CA_FILE: '/nowhere/ca.pem' },
      'EXTRA_CA_FILE: /nowhere/ca.pem cannot be read',
    ],
    ['a folder that is not there', { EXTRA_CA_DIR: '/nowhere' }, 'EXTRA_CA_DIR: /nowhere cannot be read'],
    [
      'a key without its certificate',
      { CONNECTION_RULES: '[{"host":"a","client_key_file":"/k"}]' },
      'client_key_file has no client_certificate_file',
    ],
    ['text that is no JSON', { CONNECTION_RULES: '[{"proxy":"http://u:hunter2@p"' }, 'it is not JSON'],
    [
      'a proxy of no known kind',
      { HTTPS_PROXY: 'ftp://u:hunter2@proxy' },
      'its scheme is none that is known',
    ],
  ])('%s: told at the start, passwords not shown', async (_, env, message) => {
    const failure = await start([], env).then(
      () => 'it started',
      (thrown: unknown) => String(thrown),
    );
    expect(failure).toContain(message);
    expect(failure).not.toContain('hunter2');
  });
});
