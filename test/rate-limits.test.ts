import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { textContent } from './upstream/content.ts';
import { ANY_MANIFEST, craftImage, craftIndex, type Image, type Manifest } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath } from './upstream/paths.ts';
import type { PullClient, Pulled, PullOptions } from './upstream/pull-client.ts';
import type { Reply } from './upstream/reply.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const ANY = { headers: { accept: ANY_MANIFEST } };
const WINDOW = 21_600;
const LIMIT = 100;
const RESERVE = 3;
const MANIFEST = /\/manifests\//;

/** What is known of a limit is known of a registry: each test has one of its own behind the one proxy. */
const unused: ScriptedRegistry[] = [];
let stage: Stage;
let registry: ScriptedRegistry;
let client: PullClient;
/** Pulls that were counted, by who asked. */
let pulls: Map<string, number>;
let remaining: number;
let retryAfter: string | undefined;

beforeAll(async () => {
  for (let made = 0; made < 12; made += 1) unused.push(await startScriptedRegistry());
  stage = await startStage({ registries: unused, env: { RATE_LIMIT_RESERVE: String(RESERVE) } });
});

afterEach(() => registry.close());

afterAll(async () => {
  await stage.close();
  for (const one of unused) await one.close();
});

beforeEach(() => {
  const next = unused.pop();
  if (next === undefined) throw new Error('there are more tests than registries');
  registry = next;
  client = stage.newClient(registry);
  pulls = new Map();
  remaining = LIMIT;
  retryAfter = undefined;
  // counts as Docker Hub does: each GET of a manifest, answered 200 or 304, and no HEAD
  registry.on({ path: MANIFEST }, ({ method, headers }) => {
    const who = headers.authorization ?? 'nobody';
    const used = pulls.get(who) ?? 0;
    const told = {
      'ratelimit-limit': `${LIMIT};w=${WINDOW}`,
      'ratelimit-remaining': `${Math.max(0, remaining - used)};w=${WINDOW}`,
      'docker-ratelimit-source': '192.0.2.1',
    };
    if (method !== 'GET') return { headers: told };
    if (used >= remaining) return pullLimit(told);
    pulls.set(who, used + 1);
    return { headers: { ...told, 'ratelimit-remaining': `${remaining - used - 1};w=${WINDOW}` } };
  });
});

function pullLimit(told: Record<string, string>): Reply {
  const message = 'You have reached your pull rate limit. You may increase the limit by upgrading.';
  return {
    status: 429,
    headers: {
      ...told,
      'content-type': 'application/json',
      ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    },
    body: textContent(JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message }] })),
  };
}

interface Multi {
  readonly index: Manifest;
  readonly images: readonly Image[];
}

/** Publishes an image of two platforms. */
function publish(repository: string, tag: string, seed: string = repository): Multi {
  const images = ['amd64', 'arm64'].map((platform) => craftImage({ seed: `${seed} ${platform}` }));
  const index = craftIndex(images);
  for (const image of images) registry.putImage(repository, image);
  registry.put({ repository, tags: [tag], manifest: index });
  return { index, images };
}

/** Asks what `docker pull` does of one platform. */
async function dockerPull(repository: string, tag: string, options: PullOptions = {}): Promise<Pulled[]> {
  const get = (path: string): Promise<Pulled> => client.get(path, { ...ANY, ...options });
  const answers = [await client.head(manifestPath(repository, tag), { ...ANY, ...options })];
  const digest = answers[0]?.headers['docker-content-digest']?.toString() ?? tag;
  answers.push(await get(manifestPath(repository, { digest })));
  const index = JSON.parse(answers[1]?.body.toString() ?? '') as { manifests?: { digest: string }[] };
  const chosen = index.manifests?.[0];
  if (chosen === undefined) return answers;
  answers.push(await get(manifestPath(repository, chosen)));
  const image = JSON.parse(answers[2]?.body.toString() ?? '') as Record<string, { digest: string }[]>;
  for (const layer of image['layers'] ?? []) answers.push(await get(blobPath(repository, layer)));
  return answers;
}

const counted = (who = 'nobody'): number => pulls.get(who) ?? 0;
const get = (repository: string, tag: string, options: PullOptions = {}): Promise<Pulled> =>
  client.get(manifestPath(repository, tag), { ...ANY, ...options });

/** What was logged of this registry's limit. */
function lowLines(): string[] {
  return stage.proxy.stderr
    .split('\n')
    .filter((line) => line.includes('nearly spent') && line.includes(registry.host));
}

/** Insists on a 429 that a client can read. */
function expectLimited(pulled: Pulled, seconds: (value: number) => boolean): void {
  expect(pulled).toMatchObject({ status: 429, complete: true });
  expect(pulled.headers['content-type']).toContain('application/json');
  expect(seconds(Number(pulled.headers['retry-after']))).toBe(true);
  const { errors } = JSON.parse(pulled.body.toString()) as { errors: { code: string; message: string }[] };
  expect(errors[0]).toMatchObject({ code: 'TOOMANYREQUESTS', message: expect.stringMatching(/\w/) });
}

test('a warm pull of an unchanged image costs Docker Hub nothing', async () => {
  publish('library/warm', '1');
  await dockerPull('library/warm', '1');
  expect(counted()).toBe(2);
  for (let turn = 0; turn < 3; turn += 1) {
    const answers = await dockerPull('library/warm', '1');
    expect(answers).toHaveLength(4);
    expect(answers.every(({ status }) => status === 200)).toBe(true);
  }
  expect(counted()).toBe(2);
  const conditional = registry.requests.all.filter(({ headers }) => 'if-none-match' in headers);
  expect(conditional).toEqual([]);
});

test('clients that ask at once for a cold image spend one pull together', async () => {
  publish('library/cold', '1');
  const clients = Array.from({ length: 20 }, () => stage.newClient(registry));
  const pulled = await Promise.all(
    clients.map((client) => client.get(manifestPath('library/cold', '1'), ANY)),
  );
  expect(pulled.every(({ status }) => status === 200)).toBe(true);
  expect(counted()).toBe(1);
});

describe('near the end of the limit', () => {
  test('it is logged, tags that changed are served as they were, and new images are still fetched', async () => {
    const before = publish('library/changing', 'latest');
    await get('library/changing', 'latest');
    const logged = (): number => lowLines().length;
    expect(logged()).toBe(0);
    remaining = 1 + RESERVE;
    publish('library/changing', 'latest', 'changed');
    const spared = await get('library/changing', 'latest');
    expectWhole(spared, before.index);
    expect(cacheStatus(spared)).toBe('STALE');
    expect(spared.headers['warning']).toBe('110 - "Response is Stale"');
    expect(logged()).toBe(1);
    const head = await client.head(manifestPath('library/changing', 'latest'), ANY);
    expect(head.headers['docker-content-digest']).toBe(before.index.digest);
    expect(counted()).toBe(1);

    const { index } = publish('library/new', '1');
    expectWhole(await get('library/new', '1'), index);
    expect(counted()).toBe(2);
    // what has not changed is not stale
    expect(cacheStatus(await get('library/new', '1'))).toBe('REVALIDATED');
  });

  test('a tag that is too old to stand in is fetched', async () => {
    await using short = await startStage({
      env: { RATE_LIMIT_RESERVE: '1000', TAG_STALE_TIME: '0' },
    });
    const told = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '1;w=21600' };
    short.registry.on({}, { headers: told });
    const path = manifestPath('library/old', '1');
    short.registry.putImage('library/old', craftImage({ seed: 'old 1' }), '1');
    await short.client.get(path, ANY);
    const changed = craftImage({ seed: 'old 2' });
    short.registry.putImage('library/old', changed, '1');
    expectWhole(await short.client.get(path, ANY), changed.manifest);
  });

  test('once the registry counts from the start again, so does the proxy', async () => {
    publish('library/again', 'latest');
    await get('library/again', 'latest');
    remaining = 1;
    const { index } = publish('library/again', 'latest', 'again 2');
    expect(cacheStatus(await get('library/again', 'latest'))).toBe('STALE');
    remaining = LIMIT;
    expectWhole(await get('library/again', 'latest'), index);
  });
});

describe('over the limit', () => {
  test('only what is counted stops, for the time that was asked for', async () => {
    const cached = publish('library/cached', '1');
    await dockerPull('library/cached', '1');
    await stage.proxy.stored(cached.images[0]!.layers[0]!);
    const [other] = publish('library/other', '1').images;
    remaining = 0;
    retryAfter = '3';
    expectLimited(await get('library/other', '1'), (seconds) => seconds === 3);
    const limitedAt = performance.now();
    registry.requests.forget();
    for (let turn = 0; turn < 3; turn += 1) {
      expectLimited(await get('library/other', '1'), (seconds) => seconds >= 1 && seconds <= 3);
    }
    expect(registry.requests.count()).toBe(0);
    // HEAD and blobs are no pulls
    const warm = await dockerPull('library/cached', '1');
    expect(warm.map(cacheStatus)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
    expect((await client.get(blobPath('library/other', other!.layers[0]!))).status).toBe(200);
    // what changed is served as it was
    publish('library/cached', '1', 'newer');
    const stale = await get('library/cached', '1');
    expectWhole(stale, cached.index);
    expect(cacheStatus(stale)).toBe('STALE');
    expect(registry.requests.count({ method: 'GET', path: MANIFEST })).toBe(0);

    remaining = LIMIT;
    await delay(3_100 - (performance.now() - limitedAt));
    expect((await get('library/other', '1')).status).toBe(200);
  });

  test('a change that meets the limit is served as it was', async () => {
    const { index } = publish('library/meets', '1');
    await get('library/meets', '1');
    publish('library/meets', '1', 'meets 2');
    // no header told of it before
    registry.on({ path: MANIFEST, method: 'HEAD' }, { omit: ['ratelimit-remaining', 'ratelimit-limit'] });
    remaining = 0;
    registry.on({ path: MANIFEST, method: 'GET' }, () => pullLimit({}));
    for (let turn = 0; turn < 2; turn += 1) {
      const pulled = await get('library/meets', '1');
      expectWhole(pulled, index);
      expect(cacheStatus(pulled)).toBe('STALE');
    }
    expect(registry.requests.find({ method: 'GET' }).filter(({ status }) => status === 429)).toHaveLength(1);
  });

  test('without Retry-After the registry is left alone for five seconds, then for longer', async () => {
    publish('library/pauses', '1');
    remaining = 0;
    expectLimited(await get('library/pauses', '1'), (seconds) => seconds === 5);
    await delay(5_050);
    expectLimited(await get('library/pauses', '1'), (seconds) => seconds === 10);
    expect(registry.requests.count({ method: 'GET' })).toBe(2);
  });

  test('each identity has its own', async () => {
    publish('library/each', '1');
    publish('library/two', '1');
    publish('library/three', '1');
    pulls.set('nobody', LIMIT);
    const alice = { authorization: 'Bearer marked-secret-alice' };
    expectLimited(await get('library/each', '1'), (seconds) => seconds > 0);
    expect((await get('library/each', '1', alice)).status).toBe(200);
    expect((await get('library/two', '1', alice)).status).toBe(200);
    expect(counted('Bearer marked-secret-alice')).toBe(2);
    // HEAD tells that nobody may have it too, and it is there
    expect(cacheStatus(await get('library/two', '1'))).toBe('REVALIDATED');
    expectLimited(await get('library/three', '1'), (seconds) => seconds > 0);
  });
});

describe('the limit against abuse', () => {
  const ABUSE: Reply = {
    status: 429,
    headers: { 'content-type': 'text/plain', 'retry-after': '2' },
    omit: ['ratelimit-limit', 'ratelimit-remaining', 'docker-content-digest', 'etag'],
    body: textContent('Too Many Requests (HAP429).\n'),
  };

  test('stops every request, what is cached goes on, and a client is told in its own form', async () => {
    const { index, images } = publish('library/abuse', '1');
    await dockerPull('library/abuse', '1');
    await stage.proxy.stored(images[0]!.layers[0]!);
    const rule = registry.on({}, ABUSE);
    const stale = await get('library/abuse', '1');
    expectWhole(stale, index);
    expect(cacheStatus(stale)).toBe('STALE');
    const began = performance.now();
    registry.requests.forget();
    const warm = await dockerPull('library/abuse', '1');
    expect(warm.map(cacheStatus)).toEqual(['STALE', 'HIT', 'HIT', 'HIT']);
    const uncached = [
      manifestPath('library/abuse', images[1]!.manifest),
      blobPath('library/abuse', images[1]!.config),
      '/v2/library/abuse/tags/list',
    ];
    for (const path of uncached) {
      expectLimited(await client.get(path, ANY), (seconds) => seconds >= 1 && seconds <= 2);
    }
    expect(registry.requests.count()).toBe(0);
    rule.remove();
    await delay(2_050 - (performance.now() - began));
    expect(cacheStatus(await get('library/abuse', '1'))).toBe('REVALIDATED');
  });

  test('is told in the form that clients read, the first time too', async () => {
    registry.on({}, ABUSE);
    const pulled = await get('library/none', '1');
    expectLimited(pulled, (seconds) => seconds === 2);
    expect(pulled.body.toString()).toContain('Too Many Requests (HAP429)');
  });
});
