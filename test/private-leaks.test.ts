import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Blob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, expectWhole, manifestPath } from './upstream/paths.ts';
import { createPullClient, type PullClient, type Pulled, type PullOptions } from './upstream/pull-client.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startProxy, type ProxyProcess } from './upstream/start-proxy.ts';

/**
 * Everybody who may not have Alice's image asks for it, in every way, in every state of the cache. What they get is
 * compared with what a second proxy gives that has never seen it: there must be no difference.
 */
const USERS = { alice: 'marked-secret-alice', bob: 'marked-secret-bob' } as const;
const ALICE = { authorization: basic('alice', 'marked-secret-alice'), headers: { accept: ANY_MANIFEST } };

const WHO: Readonly<Record<string, string | undefined>> = {
  'another user': basic('bob', 'marked-secret-bob'),
  'nobody in particular': undefined,
  'a wrong password': basic('alice', 'marked-secret-guess'),
  'a token that nobody issued': 'Bearer marked-secret-guess',
  'a token that looks like one of the proxy': 'Bearer breakwater.marked-secret-guess',
};

const image = craftImage({ seed: 'private', layers: [300_000] });
const layer = image.layers[0] as Blob;
const HOME = 'alice/app';
/** A repository of Bob's that never had any of it. */
const BOBS = 'bob/app';

/** Where something of the image is asked for, and at which registry. */
const WHAT: Readonly<Record<string, readonly ['own' | 'other', string]>> = {
  'its tag': ['own', manifestPath(HOME, '1')],
  'its manifest': ['own', manifestPath(HOME, image.manifest)],
  'its manifest as a blob': ['own', blobPath(HOME, image.manifest)],
  'its configuration': ['own', blobPath(HOME, image.config)],
  'its layer': ['own', blobPath(HOME, layer)],
  'its tag list': ['own', `/v2/${HOME}/tags/list`],
  'its referrers': ['own', `/v2/${HOME}/referrers/${image.manifest.digest}`],
  'its manifest in another repository': ['own', manifestPath(BOBS, image.manifest)],
  'its layer in another repository': ['own', blobPath(BOBS, layer)],
  'its layer at another registry': ['other', blobPath(HOME, layer)],
  'its manifest at another registry': ['other', manifestPath(HOME, image.manifest)],
  'its tag at another registry': ['other', manifestPath(HOME, '1')],
};

const HOW: Readonly<Record<string, PullOptions>> = {
  GET: {},
  HEAD: { method: 'HEAD' },
  'a range': { range: 'bytes=10-99' },
  'several ranges': { range: 'bytes=0-9,20-29' },
  'a condition': { headers: { 'if-none-match': `"${layer.digest}", "${image.manifest.digest}"` } },
  'any type': { headers: { accept: '*/*' } },
};

const closing = new AsyncDisposableStack();
let registry: ScriptedRegistry;
let other: ScriptedRegistry;
/** The proxy that has Alice's image, and the one that has nothing. */
let full: ProxyProcess;
let empty: ProxyProcess;

beforeAll(async () => {
  registry = closing.use(await startScriptedRegistry());
  other = closing.use(await startScriptedRegistry());
  registry.putImage(HOME, image, '1');
  registry.put({ repository: BOBS });
  const guard = basicGuard({
    users: USERS,
    may: (user, name) => user !== undefined && (name?.startsWith(`${user}/`) ?? true),
  });
  for (const one of [registry, other]) one.protect(guard);
  const start = async () => closing.use(await startProxy({ registries: [registry, other] }));
  [full, empty] = await Promise.all([start(), start()]);
});

afterEach(() => {
  for (const one of [registry, other]) one.reset();
});

afterAll(() => closing.disposeAsync());

function clientOf(proxy: ProxyProcess, at: 'own' | 'other' = 'own'): PullClient {
  return createPullClient(proxy, (at === 'own' ? registry : other).host);
}

/** All of an answer that its client can see, but for its time. */
function visible({ status, headers, body, sha256, complete }: Pulled): object {
  const { date: _, 'keep-alive': __, ...others } = headers;
  return { status, headers: others, body: body.toString(), sha256, complete };
}

async function pullAsAlice(): Promise<void> {
  using alice = clientOf(full);
  const contents: readonly (readonly [string, Blob])[] = [
    [manifestPath(HOME, '1'), image.manifest],
    [manifestPath(HOME, image.manifest), image.manifest],
    [blobPath(HOME, image.manifest), image.manifest],
    [blobPath(HOME, image.config), image.config],
    [blobPath(HOME, layer), layer],
  ];
  for (const [path, content] of contents) expectWhole(await alice.get(path, ALICE), content);
  for (const list of [`/v2/${HOME}/tags/list`, `/v2/${HOME}/referrers/${image.manifest.digest}`])
    expect((await alice.get(list, ALICE)).status).toBe(200);
  await full.stored(layer);
}

/** Asks both proxies for everything in every way as one who may not have it. */
async function expectNoDifference(
  authorization: string | undefined,
  what: readonly string[] = Object.keys(WHAT),
): Promise<void> {
  for (const name of what) {
    const [at, path] = WHAT[name]!;
    using fromFull = clientOf(full, at);
    using fromEmpty = clientOf(empty, at);
    for (const [how, { headers, ...options }] of Object.entries(HOW)) {
      const question: PullOptions = {
        ...options,
        headers: { accept: ANY_MANIFEST, ...headers },
        ...(authorization === undefined ? {} : { authorization }),
      };
      const [given, control] = await Promise.all([
        fromFull.open(path, question).done,
        fromEmpty.open(path, question).done,
      ]);
      expect.soft(visible(given), `${name}, ${how}`).toEqual(visible(control));
      expect.soft(given.status, `${name}, ${how}`).toBeGreaterThanOrEqual(400);
    }
  }
}

describe('while the first download runs', () => {
  test.each(Object.entries(WHO))('%s', async (_who, authorization) => {
    using alice = clientOf(full);
    const seed = `running ${String(authorization)}`;
    const running = craftImage({ seed, layers: [300_000] });
    const [blob] = running.layers as [Blob];
    registry.putImage(HOME, running, 'running');
    const path = blobPath(HOME, blob);
    const held = registry.hold({ method: 'GET', path }, 100_000);
    const fill = alice.open(path, ALICE);
    await fill.reached(90_000);
    for (const options of Object.values(HOW)) {
      const question = { ...options, ...(authorization === undefined ? {} : { authorization }) };
      using fromFull = clientOf(full);
      using fromEmpty = clientOf(empty);
      const [given, control] = await Promise.all([
        fromFull.open(path, question).done,
        fromEmpty.open(path, question).done,
      ]);
      expect.soft(visible(given)).toEqual(visible(control));
      expect.soft(given.status).toBeGreaterThanOrEqual(400);
    }
    held.release();
    expectWhole(await fill.done, blob);
  });
});

describe('when it is cached', () => {
  beforeAll(pullAsAlice);

  test.each(Object.entries(WHO))('%s', (_who, authorization) => expectNoDifference(authorization));
});

describe('after a restart', () => {
  beforeAll(async () => {
    await pullAsAlice();
    await Promise.all([full.restart(), empty.restart()]);
  });

  test.each(Object.entries(WHO))('%s', (_who, authorization) => expectNoDifference(authorization));
});

describe.each([
  ['the registry breaks connections', { cutAt: 'headers' }],
  ['the registry answers 503', { status: 503 }],
  ['the registry answers 429', { status: 429, headers: { 'retry-after': '1' } }],
] as const)('in an outage: %s', (_outage, reply) => {
  beforeAll(pullAsAlice);

  test.each(Object.entries(WHO))('%s', async (_who, authorization) => {
    for (const one of [registry, other]) one.on({}, reply);
    const isLimit = 'status' in reply && reply.status === 429;
    // of a limit's answer the seconds until its end differ
    if (!isLimit) return expectNoDifference(authorization);
    for (const [at, path] of Object.values(WHAT)) {
      using client = clientOf(full, at);
      const options = {
        headers: { accept: ANY_MANIFEST },
        ...(authorization === undefined ? {} : { authorization }),
      };
      const pulled = await client.get(path, options);
      expect.soft(pulled.status, path).toBeGreaterThanOrEqual(400);
      expect.soft(pulled.headers['docker-content-digest'], path).toBeUndefined();
    }
  });

  test('Alice has it all the same', async () => {
    for (const one of [registry, other]) one.on({}, reply);
    using alice = clientOf(full);
    expectWhole(await alice.get(manifestPath(HOME, '1'), ALICE), image.manifest);
    expectWhole(await alice.get(blobPath(HOME, layer), ALICE), layer);
  });
});
