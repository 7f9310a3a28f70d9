import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sha256Of, type Blob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage, type Image } from './upstream/image.ts';
import { blobPath, cacheStatus, expectRange, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import type { PullClient, Pulled, PullOptions } from './upstream/pull-client.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { createTokenService } from './upstream/token-service.ts';

/** The seam that issue 5 builds on: a digest in the cache is nobody's until upstream says so. */
const USERS = { alice: 'marked-secret-alice', bob: 'marked-secret-bob' } as const;
const ALICE = basic('alice', 'marked-secret-alice');
const BOB = basic('bob', 'marked-secret-bob');
const REFUSED = { authorization: BOB, headers: { accept: ANY_MANIFEST } };
const ALLOWED = { authorization: ALICE, headers: { accept: ANY_MANIFEST } };

let stage: Stage;
let registry: ScriptedRegistry;
let client: PullClient;
let count = 0;

beforeAll(async () => {
  stage = await startStage();
  ({ registry, client } = stage);
});

afterEach(() => registry.reset());

afterAll(() => stage.close());

interface Private {
  /** Alice's alone. */
  readonly repository: string;
  /** Bob's alone. */
  readonly bobs: string;
  readonly image: Image;
  readonly layer: Blob;
}

function publish(refusal: 401 | 403 | 404 = 403, size = 300_000): Private {
  count += 1;
  const repository = `alice/app${count}`;
  const bobs = `bob/app${count}`;
  const image = craftImage({ seed: repository, layers: [size] });
  registry.putImage(repository, image, '1');
  registry.protect(
    basicGuard({
      users: USERS,
      refusal,
      may: (user, name) => user !== undefined && (name?.startsWith(`${user}/`) ?? true),
    }),
  );
  return { repository, bobs, image, layer: image.layers[0]! };
}

/** Insists that upstream's refusal came, and not a byte of the content. */
function expectRefused(pulled: Pulled, status: number, content: Blob): void {
  expect(pulled).toMatchObject({ status, complete: true });
  expect(pulled.sha256).not.toBe(sha256Of(content));
  expect(pulled.headers['docker-content-digest']).toBeUndefined();
  expect(pulled.headers.etag).toBeUndefined();
}

const questions: readonly (readonly [string, (options: PullOptions) => PullOptions])[] = [
  ['GET', (options) => options],
  ['HEAD', (options) => ({ ...options, method: 'HEAD' })],
  ['a range', (options) => ({ ...options, range: 'bytes=10-99' })],
  ['several ranges', (options) => ({ ...options, range: 'bytes=0-9,20-29' })],
];

describe.each([
  [403, 'DENIED'],
  [404, 'NAME_UNKNOWN'],
] as const)('a user whom the registry refuses with %i', (status, code) => {
  test.each(questions)('gets that, never bytes: %s', async (name, question) => {
    const { repository, image, layer } = publish(status);
    const paths: readonly (readonly [string, Blob])[] = [
      [manifestPath(repository, '1'), image.manifest],
      [manifestPath(repository, image.manifest), image.manifest],
      [blobPath(repository, layer), layer],
      [blobPath(repository, image.config), image.config],
      [blobPath(repository, image.manifest), image.manifest],
    ];
    for (const [path, content] of paths) expectWhole(await client.get(path, ALLOWED), content);
    await stage.proxy.stored(layer);
    for (const [path, content] of paths) {
      const pulled = await client.open(path, question(REFUSED)).done;
      expectRefused(pulled, status, content);
      if (name === 'HEAD') continue;
      expect(JSON.parse(pulled.body.toString() || 'null')).toMatchObject({ errors: [{ code }] });
    }
  });

  test('If-None-Match does not tell whether the content is there', async () => {
    const { repository, image, layer } = publish(status);
    await client.get(manifestPath(repository, '1'), ALLOWED);
    expectWhole(await client.get(blobPath(repository, layer), ALLOWED), layer);
    for (const [path, { digest }] of [
      [manifestPath(repository, '1'), image.manifest],
      [manifestPath(repository, image.manifest), image.manifest],
      [blobPath(repository, layer), layer],
    ] as const) {
      const headers = { ...REFUSED.headers, 'if-none-match': `"${digest}"` };
      expect((await client.get(path, { ...REFUSED, headers })).status).toBe(status);
    }
  });

  test.each(questions)('gets that while the fill runs: %s', async (_name, question) => {
    const { repository, layer } = publish(status);
    const path = blobPath(repository, layer);
    const held = registry.hold({ method: 'GET', path }, 100_000);
    const fill = client.open(path, ALLOWED);
    await fill.reached(90_000);
    expectRefused(await client.open(path, question(REFUSED)).done, status, layer);
    held.release();
    expectWhole(await fill.done, layer);
    expect(registry.requests.find({ method: 'GET', path }).filter((one) => one.status === 200)).toHaveLength(
      1,
    );
  });

  test('gets that through a repository of the own that never had the content', async () => {
    const { repository, bobs, image, layer } = publish(status);
    registry.put({ repository: bobs });
    await client.get(manifestPath(repository, image.manifest), ALLOWED);
    expectWhole(await client.get(blobPath(repository, layer), ALLOWED), layer);
    await stage.proxy.stored(layer);
    expectRefused(await client.get(blobPath(bobs, layer), REFUSED), 404, layer);
    expectRefused(await client.get(manifestPath(bobs, image.manifest), REFUSED), 404, image.manifest);
    expectRefused(await client.head(blobPath(bobs, layer), REFUSED), 404, layer);
    expect(registry.requests.count({ path: blobPath(bobs, layer) })).toBeGreaterThan(0);
  });
});

describe('nobody in particular', () => {
  test.each([
    ['without credentials', undefined],
    ['with a wrong password', basic('alice', 'marked-secret-guess')],
    ['with a token that nobody issued', 'Bearer marked-secret-guess'],
  ])('gets the challenge of the registry: %s', async (_name, authorization) => {
    const { repository, layer } = publish();
    const path = blobPath(repository, layer);
    expectWhole(await client.get(path, ALLOWED), layer);
    await stage.proxy.stored(layer);
    const pulled = await client.get(path, authorization === undefined ? {} : { authorization });
    expectRefused(pulled, 401, layer);
    expect(pulled.headers['www-authenticate']).toBe('Basic realm="scripted"');
  });
});

describe('whoever may have it', () => {
  test('has it from the cache, and upstream is not asked each time', async () => {
    const { repository, layer } = publish();
    const path = blobPath(repository, layer);
    expectWhole(await client.get(path, ALLOWED), layer);
    await stage.proxy.stored(layer);
    registry.requests.forget();
    const again = await untilHit(() => client.get(path, ALLOWED));
    expectWhole(again, layer);
    expect(cacheStatus(again)).toBe('HIT');
    expectRange(await client.get(path, { ...ALLOWED, range: 'bytes=5-9' }), layer, 5, 10);
    expect(registry.requests.count()).toBe(0);
  });

  test('shares a layer of another repository for the price of a question without a body', async () => {
    const { repository, bobs, layer } = publish();
    registry.put({ repository: bobs, blobs: [layer] });
    expectWhole(await client.get(blobPath(repository, layer), ALLOWED), layer);
    await stage.proxy.stored(layer);
    registry.requests.forget();
    expectWhole(await client.get(blobPath(bobs, layer), REFUSED), layer);
    expect(registry.requests.all.map(({ method, path }) => [method, path])).toEqual([
      ['HEAD', blobPath(bobs, layer)],
    ]);
    // which opens nothing else
    expectRefused(await client.get(blobPath(repository, layer), REFUSED), 403, layer);
  });

  test('shares it while the fill of the other repository runs', async () => {
    const { repository, bobs, layer } = publish();
    registry.put({ repository: bobs, blobs: [layer] });
    const held = registry.hold({ method: 'GET', path: blobPath(repository, layer) }, 100_000);
    const first = client.open(blobPath(repository, layer), ALLOWED);
    await first.reached(90_000);
    const second = client.open(blobPath(bobs, layer), REFUSED);
    await second.reached(90_000);
    held.release();
    expectWhole(await first.done, layer);
    expectWhole(await second.done, layer);
    expect(registry.requests.count({ method: 'GET' })).toBe(1);
  });

  test('loses it when the registry says so, and then gets that', async () => {
    const { repository, image } = publish();
    const path = manifestPath(repository, '1');
    expectWhole(await client.get(path, ALLOWED), image.manifest);
    registry.protect(
      basicGuard({ users: USERS, may: (user, name) => user !== undefined && name === undefined }),
    );
    expectRefused(await client.get(path, ALLOWED), 403, image.manifest);
    expect(registry.requests.count({ path })).toBeGreaterThan(1);
  });

  test('two users ask together for what only one may have: each gets its own answer', async () => {
    const { repository, layer } = publish();
    const path = blobPath(repository, layer);
    const held = registry.hold({ method: 'GET', path }, 'headers');
    const bob = client.open(path, REFUSED);
    await held.arrived;
    const alice = client.open(path, ALLOWED);
    held.release();
    expectRefused(await bob.done, 403, layer);
    expectWhole(await alice.done, layer);
    expect(
      registry.requests.find({ method: 'GET', path }).filter(({ status }) => status === 200),
    ).toHaveLength(1);
  });
});

describe('tokens that clients fetched themselves', () => {
  test('open what they are for, and nothing else', async () => {
    const { repository, image, layer } = publish();
    const tokens = createTokenService(registry, {
      users: USERS,
      may: (user, name) => name?.startsWith(`${user ?? 'nobody'}/`) ?? false,
    });
    registry.protect(tokens.guard);
    const tokenOf = async (authorization: string, name: string): Promise<PullOptions> => {
      const answer = await fetch(`${tokens.realm}?service=scripted&scope=repository:${name}:pull`, {
        headers: { authorization },
      });
      const { token } = (await answer.json()) as { token: string };
      return { authorization: `Bearer ${token}`, headers: { accept: ANY_MANIFEST } };
    };
    const alice = await tokenOf(ALICE, repository);
    expectWhole(await client.get(manifestPath(repository, '1'), alice), image.manifest);
    expectWhole(await client.get(blobPath(repository, layer), alice), layer);
    await stage.proxy.stored(layer);
    const bob = await tokenOf(BOB, repository);
    for (const path of [
      manifestPath(repository, '1'),
      manifestPath(repository, image.manifest),
      blobPath(repository, layer),
    ]) {
      const pulled = await client.get(path, bob);
      expectRefused(pulled, 401, layer);
      expect(pulled.headers['www-authenticate']).toContain(tokens.realm);
    }
  });
});
