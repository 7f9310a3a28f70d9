import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Curl, CurlRequest } from './lab/clients/curl.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy, type ProxyRequest } from './lab/proxy.ts';
import { ALICE, BOB, WRONG } from './lab/users.ts';
import { secretIn } from './support/marked-secrets.ts';
import { settledRequests } from './support/lab-requests.ts';

/** Of docker-registry-proxy 0.7.0's log format, in its order. */
const REFERENCE_KEYS = [
  'access_time',
  'upstream_cache_status',
  'method',
  'uri',
  'request_type',
  'status',
  'bytes_sent',
  'upstream_response_time',
  'host',
  'proxy_host',
  'upstream',
];
const STATUS_HEADER = 'x-docker-registry-proxy-cache-upstream-status';
const TYPE_HEADER = 'x-docker-registry-proxy-cache-type';
const OCI = 'application/vnd.oci.image.manifest.v1+json';
const HUB = 'https://registry-1.docker.io/v2';
const ABSENT = `sha256:${'0'.repeat(64)}`;

let lab: Lab;
let proxy: Proxy;
let curl: Curl;

beforeAll(async () => {
  lab = await startLab();
  proxy = await startProxy(lab, {
    env: {
      AUTH_REGISTRIES: `quay.io:${ALICE.username}:${ALICE.password}`,
      LOG_LEVEL: 'trace',
      TAG_CHECK_INTERVAL: '0',
    },
  });
  ({ curl } = lab.clients({ proxy: proxy.url, ca: proxy.ca }));
});

afterAll(async () => {
  await lab?.down();
});

describe('the access log', () => {
  let lines: readonly ProxyRequest[];
  let tokens: readonly string[];

  beforeAll(async () => {
    tokens = await muchTraffic();
    lines = await settledRequests(lab, proxy);
  });

  test('has every key of docker-registry-proxy on every line, in its order, each a string', () => {
    expect(lines.length).toBeGreaterThan(20);
    for (const line of lines) {
      expect(Object.keys(line).slice(0, REFERENCE_KEYS.length)).toEqual(REFERENCE_KEYS);
      expect(Object.entries(line).filter(([, value]) => typeof value !== 'string')).toEqual([]);
    }
  });

  test('has its words and figures', () => {
    const { ghcrApp } = lab.images;
    const layer = ghcrApp.manifests[0]?.layers[1];
    const [miss, hit] = lines.filter(({ uri }) => uri === `/v2/team/app/blobs/${layer?.digest}`);
    const same = {
      method: 'GET',
      request_type: 'blob-by-digest',
      status: '200',
      bytes_sent: String(layer?.size),
      host: 'ghcr.io',
      client: '127.0.0.1',
      complete: 'true',
      digest: layer?.digest,
    };
    const asked = { proxy_host: 'ghcr.io', upstream: 'ghcr.io' };
    expect(miss).toMatchObject({ ...same, ...asked, upstream_cache_status: 'MISS' });
    expect(hit).toMatchObject({ ...same, upstream_cache_status: 'HIT', proxy_host: '', upstream: '' });
    expect(hit?.['upstream_response_time']).toBe('');
    expect(miss?.['upstream_response_time']).toMatch(/^\d+\.\d{3}$/);
    expect(new Date(miss?.['access_time'] ?? '').toISOString()).toBe(miss?.['access_time']);
  });

  test('names the host that gave the bytes where a registry redirects', () => {
    const layer = lab.images.single.manifests[0]?.layers[1];
    const line = lines.find(({ uri }) => uri === `/v2/library/single/blobs/${layer?.digest}`);
    expect(line).toMatchObject({ host: 'registry-1.docker.io', upstream: lab.cdn.host });
  });

  test.each([
    ['/v2/', 'unknown', 'BYPASS'],
    ['/token', 'unknown', 'BYPASS'],
    ['/v2/team/app/manifests/1.0', 'manifest-default-disabled', 'REVALIDATED'],
    ['/v2/team/app/tags/list', 'unknown', 'MISS'],
  ])('says of %s: %s, %s', (uri, type, status) => {
    const found = lines.filter((line) => line['uri'] === uri);
    expect(found).toContainEqual(
      expect.objectContaining({ request_type: type, upstream_cache_status: status }),
    );
  });

  test('says what failed, and how', () => {
    const failed = (path: string) => lines.find(({ uri }) => uri === path);
    expect(failed(`/v2/team/app/blobs/${ABSENT}`)).toMatchObject({
      status: '404',
      error: 'UPSTREAM_NOT_FOUND',
    });
    expect(failed('/v2/UPPER/manifests/1')).toMatchObject({ status: '400', error: 'NAME_INVALID' });
    expect(failed('/plain')).toMatchObject({ status: '502', error: 'UPSTREAM_DNS', host: 'nowhere.test:80' });
  });

  test('has no secret in it, nor has any other line', () => {
    const everything = `${JSON.stringify(lines)}\n${proxy.log}`;
    expect(tokens.map(secretIn)).not.toContain(undefined);
    expect(secretIn(everything)).toBeUndefined();
    expect(everything).not.toMatch(/bearer [\w-]|basic [\w-]|authorization/i);
    expect(everything).not.toContain('?');
  });
});

describe('the headers of docker-registry-proxy', () => {
  test('are on what is cached, cold and warm', async () => {
    const { ghcrAppNewer } = lab.images;
    const path = `team/app/blobs/${ghcrAppNewer.manifests[0]?.layers[1]?.digest}`;
    expect(await statusAndType(`https://ghcr.io/v2/${path}`)).toEqual(['MISS', 'blob-by-digest']);
    expect(await statusAndType(`https://ghcr.io/v2/${path}`)).toEqual(['HIT', 'blob-by-digest']);
    expect(await statusAndType(`https://ghcr.io/v2/${path}`, { method: 'HEAD' })).toEqual([
      'HIT',
      'blob-by-digest',
    ]);
    const byDigest = `https://ghcr.io/v2/team/app/manifests/${ghcrAppNewer.digest}`;
    expect(await statusAndType(byDigest)).toEqual(['MISS', 'manifest-by-digest']);
    expect(await statusAndType(byDigest)).toEqual(['HIT', 'manifest-by-digest']);
    const byTag = 'https://ghcr.io/v2/team/app/manifests/22.04';
    expect((await statusAndType(byTag))[1]).toBe('manifest-default-disabled');
    expect(await statusAndType(byTag)).toEqual(['REVALIDATED', 'manifest-default-disabled']);
  });

  test('are on what is not', async () => {
    for (const path of ['', 'team/app/tags/list', `team/app/blobs/${ABSENT}`, 'UPPER/manifests/1']) {
      const { headers } = await curl.request(`https://ghcr.io/v2/${path}`);
      expect(headers).toHaveProperty(STATUS_HEADER);
      expect(headers).toHaveProperty(TYPE_HEADER);
    }
  });
});

describe('the summary at the start', () => {
  test('says what a person wants to know, and no secret', async () => {
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
    const { fingerprint256, validToDate } = new X509Certificate(await readFile(proxy.ca));
    const summary = proxy.log.slice(0, proxy.log.indexOf('\n{'));
    const row = (name: string): string =>
      new RegExp(`^ {2}${name} +(.*)$`, 'm').exec(summary)?.[1] ?? `no ${name} in\n${summary}`;
    expect(summary.split('\n')[0]).toBe(`Breakwater ${version}`);
    expect(row('listening on')).toBe('127.0.0.9:3128');
    expect(row('CA')).toContain(`until ${validToDate.toISOString().slice(0, 10)}`);
    expect(row('CA SHA-256')).toBe(fingerprint256);
    for (const host of [
      'registry-1.docker.io',
      'auth.docker.io',
      'registry.k8s.io',
      'gcr.io',
      'quay.io',
      'ghcr.io',
    ])
      expect(row('registries').split(' ')).toContain(host);
    expect(row('credentials')).toBe('quay.io (alice:[redacted])');
    expect(row('cache')).toContain(`${proxy.cacheDir}: 0 objects, 0 B of 32 GiB`);
    expect(row('tags')).toBe('checked upstream by HEAD on every request');
    expect(row('push')).toContain('refused');
    expect(summary).toContain('what the credentials for quay.io open is served to every client');
  });
});

/** Requests of all kinds, with secrets wherever there may be some; gives the tokens that were issued. */
async function muchTraffic(): Promise<readonly string[]> {
  const { skopeo, docker } = lab.clients({ proxy: proxy.url, ca: proxy.ca });
  const { quayApp, ghcrApp, single, secret } = lab.images;
  // with the proxy's credentials, and with a client's own
  await skopeo.pull(quayApp.ref);
  await docker.pull(secret.ref, { credentials: ALICE });
  await skopeo.pull(secret.ref, { credentials: ALICE });
  await expect(skopeo.pull(secret.ref, { credentials: BOB })).rejects.toThrow(/denied/);
  await skopeo.pull(single.ref);
  for (let n = 0; n < 2; n++) await skopeo.pull(ghcrApp.ref);

  const realm = 'https://auth.docker.io/token?service=registry.docker.io';
  const tokens: string[] = [];
  for (const options of [{}, { credentials: ALICE }]) {
    const scope = 'scope=repository:library/single:pull&account=marked-secret-query';
    const { body } = await curl.request(`${realm}&${scope}`, options);
    const { token } = JSON.parse(body.toString());
    tokens.push(token);
    const headers = { authorization: `Bearer ${token}`, accept: OCI };
    expect((await curl.request(`${HUB}/library/single/manifests/1`, { headers })).status).toBe(200);
  }
  expect((await curl.request(realm, { credentials: WRONG })).status).toBe(401);
  await curl.request(`${HUB}/?token=marked-secret-query`, {
    headers: { cookie: 'session=marked-secret-query' },
  });
  await curl.request(`https://ghcr.io/v2/team/app/tags/list?last=marked-secret-query`);
  await curl.request(`https://ghcr.io/v2/team/app/blobs/${ABSENT}?marked-secret-query`);
  await curl.request('https://ghcr.io/v2/UPPER/manifests/1?marked-secret-query');
  await curl.request('http://nowhere.test/plain?marked-secret-query', {
    headers: { authorization: 'Basic marked-secret-query' },
    flags: ['--proxy', proxy.url, '--proxy-user', 'user:marked-secret-proxy'],
  });
  const tunnel = { flags: ['--proxy-user', 'user:marked-secret-proxy'] };
  await expect(curl.request('https://nowhere.test/?marked-secret-query', tunnel)).rejects.toThrow(/502/);
  const junk = String.raw`printf 'CONNECT user:marked-secret-proxy@x:443 HTTP/1.1\r\nHost: x\r\n\r\n' > /dev/tcp/127.0.0.9/3128`;
  await lab.clientSpace.run(['bash', '-c', junk]);
  return tokens;
}

async function statusAndType(url: string, options: CurlRequest = {}): Promise<(string | undefined)[]> {
  const { headers } = await curl.request(url, { ...options, headers: { accept: OCI } });
  return [headers[STATUS_HEADER], headers[TYPE_HEADER]];
}
