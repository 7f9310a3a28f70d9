import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { NOT_FOUND_MS } from '../src/pulls/tag-resolve.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage, type Image } from './upstream/image.ts';
import { cacheStatus, expectError, expectWhole, manifestPath } from './upstream/paths.ts';
import type { Pulled, PullOptions } from './upstream/pull-client.ts';
import type { Reply } from './upstream/reply.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const ANY = { headers: { accept: ANY_MANIFEST } };
let count = 0;

interface Published {
  readonly repository: string;
  readonly path: string;
  readonly image: Image;
  /** Makes the tag mean another image. */
  move(): Image;
  get(options?: PullOptions): Promise<Pulled>;
  head(options?: PullOptions): Promise<Pulled>;
  /** What upstream was asked since it was last looked at, e.g. `HEAD tag`. */
  asked(): string[];
}

function publish(stage: Stage, tag = 'latest', folder = 'fresh'): Published {
  count += 1;
  const repository = `${folder}/app${count}`;
  const path = manifestPath(repository, tag);
  const made = (seed: string): Image => {
    const image = craftImage({ seed });
    stage.registry.putImage(repository, image, tag);
    return image;
  };
  let moves = 0;
  return {
    repository,
    path,
    image: made(repository),
    move: () => made(`${repository} ${(moves += 1)}`),
    get: (options) => stage.client.get(path, { ...ANY, ...options }),
    head: (options) => stage.client.head(path, { ...ANY, ...options }),
    asked() {
      const all = stage.registry.requests.all.map(
        (request) =>
          `${request.method} ${request.path === path ? 'tag' : request.path.replace(/.*\/(\w+):.*/, 'digest')}`,
      );
      stage.registry.requests.forget();
      return all;
    },
  };
}

/** Asks until upstream was asked: a background check takes its time. */
async function settled(published: Published): Promise<string[]> {
  for (let turn = 0; turn < 100; turn += 1) {
    await delay(20);
    const asked = published.asked();
    if (asked.length > 0) return [...asked, ...(await delay(100), published.asked())];
  }
  return [];
}

describe('a tag that is checked every time', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage();
  });
  afterEach(() => stage.registry.reset());
  afterAll(() => stage.close());

  test('costs one GET, then HEADs alone while it does not change', async () => {
    const tag = publish(stage);
    const cold = await tag.get();
    expectWhole(cold, tag.image.manifest);
    expect(cacheStatus(cold)).toBe('MISS');
    expect(tag.asked()).toEqual(['GET tag']);
    for (const pulled of [await tag.get(), await tag.get()]) {
      expectWhole(pulled, tag.image.manifest);
      expect(cacheStatus(pulled)).toBe('REVALIDATED');
      expect(pulled.headers['warning']).toBeUndefined();
    }
    expect(tag.asked()).toEqual(['HEAD tag', 'HEAD tag']);
  });

  test('the HEAD carries all that the client accepts, and no condition', async () => {
    const tag = publish(stage);
    await tag.get();
    stage.registry.requests.forget();
    const etag = `"${tag.image.manifest.digest}"`;
    const again = await tag.get({ headers: { accept: ANY_MANIFEST, 'if-none-match': etag } });
    expect(again.status).toBe(304);
    tag.move();
    expect((await tag.get({ headers: { accept: ANY_MANIFEST, 'if-none-match': etag } })).status).toBe(200);
    const requests = stage.registry.requests.all;
    expect(requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD', 'GET']);
    for (const { headers } of requests) {
      expect(headers.accept).toBe(ANY_MANIFEST);
      expect(Object.keys(headers).filter((name) => name.startsWith('if-'))).toEqual([]);
    }
  });

  test('a change costs one GET more, by the digest', async () => {
    const tag = publish(stage);
    await tag.get();
    const { manifest } = tag.move();
    tag.asked();
    const changed = await tag.get();
    expectWhole(changed, manifest);
    expect(cacheStatus(changed)).toBe('EXPIRED');
    expect(tag.asked()).toEqual(['HEAD tag', 'GET digest']);
    expect(cacheStatus(await tag.get())).toBe('REVALIDATED');
    expect(tag.asked()).toEqual(['HEAD tag']);
  });

  test('a change back to what is cached costs none', async () => {
    const tag = publish(stage);
    await tag.get();
    tag.move();
    await tag.get();
    stage.registry.putImage(tag.repository, tag.image, 'latest');
    tag.asked();
    expectWhole(await tag.get(), tag.image.manifest);
    expect(tag.asked()).toEqual(['HEAD tag']);
  });

  test.each<[string, Reply]>([
    ['without a digest in its headers', { omit: ['docker-content-digest'] }],
    ['that HEAD does not work on (405)', { status: 405 }],
    ['that knows HEAD of nothing (404)', { status: 404 }],
  ])('upstream %s is asked by GET', async (_name, reply) => {
    const tag = publish(stage);
    stage.registry.on({ method: 'HEAD', path: tag.path }, reply);
    expectWhole(await tag.get(), tag.image.manifest);
    tag.asked();
    expectWhole(await tag.get(), tag.image.manifest);
    expect(tag.asked()).toEqual(['HEAD tag', 'GET tag']);
    const { manifest } = tag.move();
    expectWhole(await tag.get(), manifest);
  });

  test.each(['warm', 'changed', 'cold'] as const)(
    'fifty clients at once are one question: %s',
    async (state) => {
      const tag = publish(stage);
      if (state !== 'cold') await tag.get();
      const { manifest } = state === 'changed' ? tag.move() : tag.image;
      tag.asked();
      const held = stage.registry.hold({ path: tag.path }, 'headers');
      const clients = Array.from({ length: 50 }, () => stage.newClient());
      // connections take their time
      await Promise.all(clients.map((client) => client.get('/v1/')));
      const pulls = clients.map((client) => client.open(tag.path, ANY));
      await held.arrived;
      await delay(400);
      held.release();
      for (const { done } of pulls) expectWhole(await done, manifest);
      for (const client of clients) client.close();
      expect(tag.asked()).toEqual(
        { warm: ['HEAD tag'], changed: ['HEAD tag', 'GET digest'], cold: ['GET tag'] }[state],
      );
    },
  );

  test('what one kind of client pulled is there for the others', async () => {
    const tag = publish(stage);
    await tag.get();
    tag.asked();
    const accept = [...ANY_MANIFEST.split(', ').toReversed(), '*/*'].join(',');
    expectWhole(await tag.get({ headers: { accept } }), tag.image.manifest);
    expect(tag.asked()).toEqual(['HEAD tag']);
  });

  test.each([500, 502, 503, 504, 429])(
    'upstream that answers %i is stood in for, and it is said',
    async (status) => {
      const tag = publish(stage);
      await tag.get();
      const rule = stage.registry.on({ path: tag.path }, { status, headers: { 'retry-after': '1' } });
      for (const pulled of [await tag.get(), await tag.head()]) {
        expect(pulled).toMatchObject({ status: 200, headers: { warning: '110 - "Response is Stale"' } });
        expect(cacheStatus(pulled)).toBe('STALE');
        expect(pulled.headers['docker-content-digest']).toBe(tag.image.manifest.digest);
      }
      rule.remove();
    },
  );

  test('it is asked again after that', async () => {
    // the refusals above made a pause of 1 s
    await delay(1_100);
    const tag = publish(stage);
    await tag.get();
    stage.registry.on({ path: tag.path }, { status: 503 }, 1);
    expect(cacheStatus(await tag.get())).toBe('STALE');
    expect(cacheStatus(await tag.get())).toBe('REVALIDATED');
  });

  test('a change that cannot be fetched is none yet', async () => {
    const tag = publish(stage);
    await tag.get();
    const moved = tag.move();
    const digest = manifestPath(tag.repository, moved.manifest);
    const rule = stage.registry.on({ path: digest }, { status: 503 });
    for (let turn = 0; turn < 2; turn += 1) {
      const pulled = await tag.get();
      expectWhole(pulled, tag.image.manifest);
      expect(cacheStatus(pulled)).toBe('STALE');
    }
    rule.remove();
    expectWhole(await tag.get(), moved.manifest);
  });

  test.each([401, 403, 404])('%i is an answer', async (status) => {
    const tag = publish(stage);
    await tag.get();
    stage.registry.on({ path: tag.path }, { status });
    expect((await tag.get()).status).toBe(status);
    expect((await tag.head()).status).toBe(status);
  });

  test('headers that do not come are waited for 4 s, then it is served', async () => {
    const tag = publish(stage);
    await tag.get();
    const held = stage.registry.hold({ method: 'HEAD', path: tag.path }, 'headers');
    const began = performance.now();
    const pulled = await tag.get();
    expectWhole(pulled, tag.image.manifest);
    expect(cacheStatus(pulled)).toBe('STALE');
    expect(pulled.headersAt - began).toBeGreaterThan(3_500);
    expect(pulled.headersAt - began).toBeLessThan(8_000);
    held.release();
  });

  test('a registry that cannot be reached, from its first second on and until it is back', async () => {
    const tag = publish(stage);
    await tag.get();
    await stage.registry.close();
    const began = performance.now();
    const pulled = await tag.get();
    expectWhole(pulled, tag.image.manifest);
    expect(cacheStatus(pulled)).toBe('STALE');
    expect((await tag.head()).status).toBe(200);
    expect(performance.now() - began).toBeLessThan(2_000);
    expectError(await stage.client.get(manifestPath(tag.repository, 'other'), ANY), 502, 'UPSTREAM_CONNECT');
  });
});

test('a certificate that is not accepted any more is an outage', async () => {
  await using stage = await startStage({ tls: true });
  const tag = publish(stage);
  await tag.get();
  await stage.proxy.stop();
  await using untrusting = await startStage({
    tls: true,
    env: { CACHE_DIR: stage.proxy.cacheDir, EXTRA_CA_FILE: '', REGISTRIES: stage.registry.host },
  });
  const client = untrusting.newClient(stage.registry);
  const pulled = await client.get(tag.path, ANY);
  expectWhole(pulled, tag.image.manifest);
  expect(cacheStatus(pulled)).toBe('STALE');
  expectError(await client.get(manifestPath(tag.repository, 'other'), ANY), 502, 'UPSTREAM_TLS');
});

describe('with the settings of a new user', () => {
  test('a tag is checked at most once in three seconds', async () => {
    await using stage = await startStage({ env: { TAG_CHECK_INTERVAL: '3s' } });
    const tag = publish(stage, '22.04');
    await tag.get();
    const began = Date.now();
    const moved = tag.move();
    tag.asked();
    for (let turn = 0; turn < 5; turn += 1) {
      const pulled = await tag.get();
      expect(cacheStatus(pulled)).toBe('HIT');
      expectWhole(pulled, tag.image.manifest);
    }
    expect(Date.now() - began).toBeLessThan(3_000);
    expect(tag.asked()).toEqual([]);
    await delay(began + 3_050 - Date.now());
    expectWhole(await tag.get(), moved.manifest);
    expect(cacheStatus(await tag.get())).toBe('HIT');
    expect(tag.asked()).toEqual(['HEAD tag', 'GET digest']);
  });
});

describe('the three tiers', () => {
  test('have each their time, and the first that matches decides', async () => {
    await using stage = await startStage({
      env: {
        ENABLE_MANIFEST_CACHE: 'true',
        MANIFEST_CACHE_PRIMARY_REGEX: '(stable|1\\.0)',
        MANIFEST_CACHE_PRIMARY_TIME: '0',
        MANIFEST_CACHE_SECONDARY_REGEX: '\\d+\\.\\d+',
        MANIFEST_CACHE_SECONDARY_TIME: '1h',
        MANIFEST_CACHE_DEFAULT_TIME: '2s',
      },
    });
    const tags = ['stable', '1.0', '2.0', 'edge'].map((name) => publish(stage, name));
    for (const tag of tags) await tag.get();
    const second: Pulled[] = [];
    for (const tag of tags) second.push(await tag.get());
    expect(second.map(cacheStatus)).toEqual(['REVALIDATED', 'REVALIDATED', 'HIT', 'HIT']);
    expect(second.map(({ headers }) => headers['x-docker-registry-proxy-cache-type'])).toEqual([
      'manifest-primary',
      'manifest-primary',
      'manifest-secondary',
      'manifest-default',
    ]);
    await delay(2_100);
    const third: Pulled[] = [];
    for (const tag of tags) third.push(await tag.get());
    expect(third.map(cacheStatus)).toEqual(['REVALIDATED', 'REVALIDATED', 'HIT', 'REVALIDATED']);
  });
});

describe('rules', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage({
      env: {
        TAG_RULES: JSON.stringify([
          { repository: 'frozen/*', fresh: '1h' },
          { repository: 'always/*', revalidate: true },
          { repository: 'grace/*', fresh: '1s', grace: '1h' },
          { repository: 'short/*', fresh: '0', stale: '2s' },
          { repository: 'ahead/*', fresh: '5s', refresh: true },
        ]),
        TAG_CHECK_INTERVAL: '1h',
      },
    });
  });
  afterEach(() => stage.registry.reset());
  afterAll(() => stage.close());

  test('fresh: upstream is not asked', async () => {
    const tag = publish(stage, 'latest', 'frozen');
    await tag.get();
    tag.move();
    tag.asked();
    expect(cacheStatus(await tag.get())).toBe('HIT');
    expect(tag.asked()).toEqual([]);
  });

  test('revalidate: it is asked every time', async () => {
    const tag = publish(stage, 'latest', 'always');
    await tag.get();
    tag.asked();
    for (let turn = 0; turn < 3; turn += 1) expect(cacheStatus(await tag.get())).toBe('REVALIDATED');
    expect(tag.asked()).toEqual(['HEAD tag', 'HEAD tag', 'HEAD tag']);
  });

  test('grace: the old is served at once, while one check runs in the background', async () => {
    const tag = publish(stage, 'latest', 'grace');
    await tag.get();
    await delay(1_100);
    const { manifest } = tag.move();
    tag.asked();
    const held = stage.registry.hold({ method: 'HEAD', path: tag.path }, 'headers');
    for (let turn = 0; turn < 5; turn += 1) {
      const pulled = await tag.get();
      expectWhole(pulled, tag.image.manifest);
      expect(cacheStatus(pulled)).toBe('UPDATING');
    }
    held.release();
    expect(await settled(tag)).toEqual(['HEAD tag', 'GET digest']);
    const updated = await tag.get();
    expectWhole(updated, manifest);
    expect(cacheStatus(updated)).toBe('HIT');
    expect(tag.asked()).toEqual([]);
  });

  test('grace: a registry that is away goes unnoticed', async () => {
    const tag = publish(stage, 'latest', 'grace');
    await tag.get();
    await delay(1_100);
    stage.registry.on({ path: tag.path }, { status: 503 });
    for (let turn = 0; turn < 3; turn += 1) expect(cacheStatus(await tag.get())).toBe('UPDATING');
  });

  test('stale: after its time there is no standing in', async () => {
    const tag = publish(stage, 'latest', 'short');
    await tag.get();
    stage.registry.on({ path: tag.path }, { status: 503 });
    expect(cacheStatus(await tag.get())).toBe('STALE');
    await delay(2_100);
    expect((await tag.get()).status).toBe(503);
  });

  test('refresh: in use it is checked ahead, and no client waits', async () => {
    const tag = publish(stage, 'latest', 'ahead');
    await tag.get();
    const { manifest } = tag.move();
    tag.asked();
    const seen = new Set<string>();
    const statuses = new Set<string | undefined>();
    const until = Date.now() + 7_000;
    stage.registry.on({}, { latency: 100 });
    while (Date.now() < until) {
      const pulled = await tag.get();
      seen.add(String(pulled.headers['docker-content-digest']));
      statuses.add(cacheStatus(pulled));
      await delay(20);
    }
    expect([...seen]).toEqual([tag.image.manifest.digest, manifest.digest]);
    // no other word is an answer without a wait
    expect([...statuses]).toEqual(['HIT']);
    const asked = tag.asked();
    expect(asked.filter((one) => one === 'GET digest')).toHaveLength(1);
    expect(asked.filter((one) => one === 'HEAD tag').length).toBeLessThanOrEqual(4);
  });
});

describe('a tag that is not there', () => {
  let stage: Stage;
  const USERS = { alice: 'marked-secret-alice' } as const;

  beforeAll(async () => {
    stage = await startStage({ env: { ALLOW_PUSH: 'true', TAG_CHECK_INTERVAL: '1h' } });
  });
  afterEach(() => {
    stage.registry.reset();
    stage.registry.protect(() => undefined);
  });
  afterAll(() => stage.close());

  test('is known to be missing for seconds only', async () => {
    const tag = publish(stage);
    const missing = manifestPath(tag.repository, 'next');
    for (let turn = 0; turn < 3; turn += 1) expect((await stage.client.get(missing, ANY)).status).toBe(404);
    expect(stage.registry.requests.count({ path: missing })).toBe(1);
    const next = craftImage({ seed: 'next' });
    stage.registry.putImage(tag.repository, next, 'next');
    await delay(NOT_FOUND_MS + 50);
    expectWhole(await stage.client.get(missing, ANY), next.manifest);
  });

  test('is missing for the one who was told so, not for others', async () => {
    const tag = publish(stage);
    stage.registry.protect(
      basicGuard({ users: USERS, refusal: 404, may: (user, name) => user === 'alice' || name === undefined }),
    );
    stage.registry.on({}, ({ headers }) => (headers.authorization === undefined ? { status: 404 } : {}));
    expect((await tag.get()).status).toBe(404);
    expectWhole(await tag.get({ authorization: basic('alice', 'marked-secret-alice') }), tag.image.manifest);
    expect((await tag.get()).status).toBe(404);
  });

  test('a push through the proxy is seen at once', async () => {
    const tag = publish(stage);
    const missing = manifestPath(tag.repository, 'pushed');
    expect((await stage.client.get(missing, ANY)).status).toBe(404);
    expectWhole(await tag.get(), tag.image.manifest);

    const pushed = craftImage({ seed: 'pushed' });
    stage.registry.putImage(tag.repository, pushed, 'pushed', 'latest');
    stage.registry.on({ method: 'PUT' }, { status: 201 });
    expect(cacheStatus(await tag.get())).toBe('HIT');
    for (const path of [missing, tag.path]) {
      expect((await stage.client.open(path, { method: 'PUT' }).done).status).toBe(201);
      expectWhole(await stage.client.get(path, ANY), pushed.manifest);
    }
  });

  test('a manifest that is deleted by its digest takes its tags with it', async () => {
    const tag = publish(stage);
    const byDigest = manifestPath(tag.repository, tag.image.manifest);
    stage.registry.putImage(tag.repository, tag.image, 'other');
    const paths = [tag.path, manifestPath(tag.repository, 'other'), byDigest];
    for (const path of paths) expectWhole(await stage.client.get(path, ANY), tag.image.manifest);
    stage.registry.on({ method: 'DELETE' }, { status: 202 });
    expect((await stage.client.open(byDigest, { method: 'DELETE' }).done).status).toBe(202);
    stage.registry.on({ path: new RegExp(`^/v2/${tag.repository}/`) }, { status: 404 });
    for (const path of paths) expect((await stage.client.get(path, ANY)).status).toBe(404);
  });

  test('what was asked before a push is not believed after it', async () => {
    const tag = publish(stage);
    const held = stage.registry.hold({ method: 'GET', path: tag.path }, 'headers', {
      body: tag.image.manifest,
      headers: { 'docker-content-digest': tag.image.manifest.digest },
    });
    const before = tag.get();
    await held.arrived;
    const { manifest } = tag.move();
    stage.registry.on({ method: 'PUT' }, { status: 201 });
    await stage.client.open(tag.path, { method: 'PUT' }).done;
    expectWhole(await tag.get(), manifest);
    held.release();
    expectWhole(await before, tag.image.manifest);
    expectWhole(await tag.get(), manifest);
  });
});
