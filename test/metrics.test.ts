import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { METRICS, type Metric } from '../src/observe/metrics.ts';
import { adminOf, type AdminClient } from './support/admin.ts';
import { randomBlob, type Blob } from './upstream/content.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import { markedSecret } from './support/marked-secrets.ts';
import { basic } from './upstream/guard.ts';
import { startStage, type Stage, type StageOptions } from './upstream/stage.ts';
import { createTokenService } from './upstream/token-service.ts';

const MIB = 1024 * 1024;
const REPOSITORY = 'team/app';
const ANY = { headers: { accept: ANY_MANIFEST } };
/** A series that is there only when a registry has said something, or whose value nobody decides. */
const VARYING = /^(process_|breakwater_upstream_ratelimit_)/;

let stage: Stage;
let admin: AdminClient;

afterEach(() => stage.close());

async function begin(env: Readonly<Record<string, string>> = {}, options: StageOptions = {}): Promise<void> {
  stage = await startStage({ ...options, env: { ADMIN_LISTEN: '127.0.0.1:0', ...env } });
  admin = await adminOf(stage.proxy);
}

function publish(seed: string, size: number): Blob {
  const blob = randomBlob(seed, size);
  stage.registry.put({ repository: REPOSITORY, blobs: [blob] });
  return blob;
}

/** What changed between two scrapes, but for times and what the process uses. */
function changes(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): Record<string, number> {
  const changed = [...after].map(([series, value]) => [series, value - (before.get(series) ?? 0)] as const);
  return Object.fromEntries(
    changed.filter(
      ([series, value]) => value !== 0 && !VARYING.test(series) && !/_(bucket|sum)/.test(series),
    ),
  );
}

/** Scrapes when the access log has so many lines: a request counts when it is finished. */
async function scrapeAfter(requests: number): Promise<ReadonlyMap<string, number>> {
  await expect.poll(() => stage.proxy.lines.length, { timeout: 10_000 }).toBe(requests);
  return admin.scrape();
}

describe('/metrics', () => {
  test('has exact figures of a pull, and of the same pull again', async () => {
    await begin();
    const { registry, client, proxy } = stage;
    const image = craftImage({ seed: 'metrics', layers: [3 * MIB] });
    const [layer] = image.layers;
    registry.putImage(REPOSITORY, image, 'latest');
    const pull = async (): Promise<(string | undefined)[]> => {
      const pulled = await client.get(manifestPath(REPOSITORY, 'latest'), ANY);
      expectWhole(pulled, image.manifest);
      const statuses = [cacheStatus(pulled)];
      for (const blob of [image.config, ...image.layers]) {
        const one = await client.get(blobPath(REPOSITORY, blob));
        expectWhole(one, blob);
        await proxy.stored(blob);
        statuses.push(cacheStatus(one));
      }
      return statuses;
    };
    const blobs = image.config.size + (layer?.size ?? 0);
    const whole = blobs + image.manifest.size;
    const of = (kind: string, status: string): string =>
      `{registry="${registry.host}",kind="${kind}",cache_status="${status}"}`;
    const atUpstream = `{registry="${registry.host}",code="2xx"}`;
    const start = await admin.scrape();

    expect(await pull()).toEqual(['MISS', 'MISS', 'MISS']);
    const cold = await scrapeAfter(3);
    expect(changes(start, cold)).toEqual({
      [`breakwater_requests_total${of('manifest', 'MISS')}`]: 1,
      [`breakwater_requests_total${of('blob', 'MISS')}`]: 2,
      [`breakwater_response_bytes_total${of('manifest', 'MISS')}`]: image.manifest.size,
      [`breakwater_response_bytes_total${of('blob', 'MISS')}`]: blobs,
      [`breakwater_responses_total${atUpstream}`]: 3,
      'breakwater_request_duration_seconds_count{kind="manifest"}': 1,
      'breakwater_request_duration_seconds_count{kind="blob"}': 2,
      'breakwater_fills_total{result="stored"}': 3,
      'breakwater_fill_bytes_total{kind="manifest"}': image.manifest.size,
      'breakwater_fill_bytes_total{kind="blob"}': blobs,
      breakwater_cache_size_bytes: whole,
      breakwater_cache_entries: 3,
      [`breakwater_upstream_requests_total${atUpstream}`]: registry.requests.count({}),
      [`breakwater_upstream_duration_seconds_count{registry="${registry.host}"}`]: registry.requests.count(
        {},
      ),
      'registry_proxy_requests_total{type="manifest"}': 1,
      'registry_proxy_requests_total{type="blob"}': 2,
      'registry_proxy_misses_total{type="manifest"}': 1,
      'registry_proxy_misses_total{type="blob"}': 2,
      'registry_proxy_pulled_bytes_total{type="manifest"}': image.manifest.size,
      'registry_proxy_pulled_bytes_total{type="blob"}': blobs,
      'registry_proxy_pushed_bytes_total{type="manifest"}': image.manifest.size,
      'registry_proxy_pushed_bytes_total{type="blob"}': blobs,
    });

    expect(await pull()).toEqual(['REVALIDATED', 'HIT', 'HIT']);
    const warm = await scrapeAfter(6);
    expect(changes(cold, warm)).toEqual({
      [`breakwater_requests_total${of('manifest', 'REVALIDATED')}`]: 1,
      [`breakwater_requests_total${of('blob', 'HIT')}`]: 2,
      [`breakwater_response_bytes_total${of('manifest', 'REVALIDATED')}`]: image.manifest.size,
      [`breakwater_response_bytes_total${of('blob', 'HIT')}`]: blobs,
      [`breakwater_responses_total${atUpstream}`]: 3,
      [`breakwater_bytes_saved_total{registry="${registry.host}"}`]: whole,
      'breakwater_request_duration_seconds_count{kind="manifest"}': 1,
      'breakwater_request_duration_seconds_count{kind="blob"}': 2,
      [`breakwater_upstream_requests_total${atUpstream}`]: 1,
      [`breakwater_upstream_duration_seconds_count{registry="${registry.host}"}`]: 1,
      'registry_proxy_requests_total{type="manifest"}': 1,
      'registry_proxy_requests_total{type="blob"}': 2,
      'registry_proxy_hits_total{type="manifest"}': 1,
      'registry_proxy_hits_total{type="blob"}': 2,
      'registry_proxy_pushed_bytes_total{type="manifest"}': image.manifest.size,
      'registry_proxy_pushed_bytes_total{type="blob"}': blobs,
    });

    // no series came into being: each was there from the start
    expect([...warm.keys()]).toEqual([...start.keys()]);
    expect(warm.get('breakwater_cache_max_size_bytes')).toBe(32 * 1024 * MIB);
    const ca = new X509Certificate(proxy.ca);
    expect(warm.get('breakwater_ca_not_after_timestamp_seconds')).toBe(Date.parse(ca.validTo) / 1000);
  });

  test('counts clients of one fetch, and what is under way', async () => {
    await begin();
    const { registry, client } = stage;
    const blob = publish('coalesced', 2 * MIB);
    const path = blobPath(REPOSITORY, blob);
    const start = await admin.scrape();
    const hold = registry.hold({ path }, MIB);
    const pulls = [client.open(path), client.open(path), client.open(path)];
    await Promise.all(pulls.map((pull) => pull.reached(MIB / 2)));
    expect(changes(start, await admin.scrape())).toMatchObject({
      breakwater_requests_active: 3,
      breakwater_fills_active: 1,
    });
    hold.release();
    for (const { done } of pulls) expectWhole(await done, blob);
    const end = changes(start, await scrapeAfter(3));
    expect(end).toMatchObject({
      [`breakwater_cache_coalesced_total{registry="${registry.host}"}`]: 2,
      [`breakwater_bytes_saved_total{registry="${registry.host}"}`]: 2 * blob.size,
      'breakwater_fills_total{result="stored"}': 1,
      'breakwater_fill_bytes_total{kind="blob"}': blob.size,
      [`breakwater_upstream_requests_total{registry="${registry.host}",code="2xx"}`]: 1,
    });
    expect(Object.keys(end)).not.toContain('breakwater_requests_active');
    expect(Object.keys(end)).not.toContain('breakwater_fills_active');
  });

  test('counts what upstream refuses, breaks off and gets wrong', async () => {
    await begin();
    const { registry, client } = stage;
    const wrong = publish('wrong', 1_000);
    const other = randomBlob('other bytes', 1_000);
    registry.serve(blobPath(REPOSITORY, wrong), other);
    const start = await admin.scrape();
    await client.get(blobPath(REPOSITORY, randomBlob('absent', 10)));
    await client.get(blobPath(REPOSITORY, wrong));
    const end = changes(start, await scrapeAfter(2));
    expect(end).toMatchObject({
      [`breakwater_responses_total{registry="${registry.host}",code="404"}`]: 1,
      [`breakwater_upstream_requests_total{registry="${registry.host}",code="404"}`]: 1,
      'breakwater_fills_total{result="failed"}': 1,
    });
    const corrupt = 'breakwater_fills_total{result="corrupt"}';
    // the bytes are asked for once more before a client is cut off
    const fetched = registry.requests.count({ path: blobPath(REPOSITORY, wrong) });
    await expect.poll(async () => (await admin.scrape()).get(corrupt), { timeout: 10_000 }).toBe(fetched);
    await registry.close();
    await client.get(blobPath(REPOSITORY, randomBlob('gone', 10)));
    const gone = await scrapeAfter(3);
    expect(gone.get(`breakwater_upstream_requests_total{registry="${registry.host}",code="none"}`)).toBe(1);
  });

  test('counts evictions', async () => {
    await begin({ CACHE_MAX_SIZE: '4m' });
    const { client, proxy } = stage;
    for (const seed of ['first', 'second', 'third', 'fourth', 'fifth']) {
      const blob = publish(seed, MIB);
      await untilHit(() => client.get(blobPath(REPOSITORY, blob)));
      await proxy.stored(blob);
    }
    const end = await admin.scrape();
    expect(end.get('breakwater_cache_evictions_total')).toBe(1);
    expect(end.get('breakwater_cache_evicted_bytes_total')).toBe(MIB);
    expect(end.get('breakwater_cache_eviction_age_seconds_bucket{le="60"}')).toBe(1);
    expect(end.get('breakwater_cache_entries')).toBe(4);
    expect(end.get('breakwater_cache_size_bytes')).toBe(4 * MIB);
  });

  test('counts tokens', async () => {
    await begin();
    const { registry, client } = stage;
    const blob = publish('with a token', 1_000);
    const tokens = createTokenService(registry, { may: (_, repository) => repository === REPOSITORY });
    registry.protect(tokens.guard);
    expectWhole(await client.get(blobPath(REPOSITORY, blob)), blob);
    registry.on({ path: tokens.path }, { status: 401 });
    await client.get(blobPath('team/other', blob));
    const end = await admin.scrape();
    expect(end.get('breakwater_auth_token_requests_total{result="granted"}')).toBe(1);
    const asked = tokens.requests().length;
    expect(asked).toBeGreaterThan(1);
    expect(end.get('breakwater_auth_token_requests_total{result="refused"}')).toBe(asked - 1);
    expect(end.get('breakwater_auth_token_requests_total{result="failed"}')).toBe(0);
  });

  test('has the pull limits by the kind of identity, and nothing that stands for a credential', async () => {
    await begin();
    const { registry, client } = stage;
    const image = craftImage({ seed: 'limited', layers: [100] });
    registry.putImage(REPOSITORY, image, 'latest');
    let remaining = 90;
    registry.on({ path: /\/manifests\// }, () => ({
      headers: { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': `${remaining};w=21600` },
    }));
    const path = manifestPath(REPOSITORY, 'latest');
    await client.get(path, ANY);
    for (const [name, left] of [
      ['alice', 20],
      ['bob', 7],
      ['carol', 50],
    ] as const) {
      remaining = left;
      const authorization = basic(name, markedSecret(name));
      expectWhole(await client.get(path, { ...ANY, authorization }), image.manifest);
    }
    const { body } = await admin.ask('/metrics');
    const said = body.split('\n').filter((line) => line.startsWith('breakwater_upstream_ratelimit'));
    const of = (identity: string): string => `{registry="${registry.host}",identity="${identity}"}`;
    expect(said.toSorted()).toEqual([
      `breakwater_upstream_ratelimit_limit${of('client')} 100`,
      `breakwater_upstream_ratelimit_limit${of('proxy')} 100`,
      `breakwater_upstream_ratelimit_remaining${of('client')} 7`,
      `breakwater_upstream_ratelimit_remaining${of('proxy')} 90`,
    ]);
  });

  test('counts tunnels', async () => {
    await begin();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    // A server on a port has an address that is an object.
    const { port } = server.address() as AddressInfo;
    const socket = connect(stage.proxy.port, '127.0.0.1');
    socket.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, 'data');
    const open = await admin.scrape();
    expect(open.get('breakwater_tunnels_active')).toBe(1);
    expect(open.get('breakwater_tunnels_total')).toBe(1);
    socket.destroy();
    server.close();
    await expect.poll(async () => (await admin.scrape()).get('breakwater_tunnels_active')).toBe(0);
  });

  test('takes hosts and statuses that it does not know together', async () => {
    await begin({ REGISTRIES: '*.localhost' });
    const start = await admin.scrape();
    const names = [...start.keys()].join('\n').match(/(?<=registry=")[^"]+/g);
    expect(new Set(names)).toEqual(
      new Set(['registry-1.docker.io', 'auth.docker.io', '*.localhost', 'other']),
    );
    expect(start.size).toBeLessThan(600);
  });

  test('is OpenMetrics for who prefers it, and text for all others', async () => {
    await begin();
    const accept =
      'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
    const open = await admin.ask('/metrics', { accept });
    const text = await admin.ask('/metrics', { accept: '*/*' });
    expect(open.headers['content-type']).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(text.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(open.body).toContain(
      '# TYPE breakwater_fills counter\nbreakwater_fills_total{result="stored"} 0\n',
    );
    expect(open.body.endsWith('\n# EOF\n')).toBe(true);
    expect(text.body).toContain('# TYPE breakwater_fills_total counter\n');
    const families = [...text.body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
    const declared = Object.entries<Metric>(METRICS).map(([name, { type }]) => [name, type]);
    expect(families).toEqual(declared);
  });

  test('is what promtool finds nothing wrong with', async () => {
    await begin();
    const { body } = await admin.ask('/metrics');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: body });
    expect([status, stdout.toString(), stderr.toString()]).toEqual([0, '', '']);
  });
});
