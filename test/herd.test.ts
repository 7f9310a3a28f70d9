import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { randomBlob } from './upstream/content.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, expectWhole, manifestPath } from './upstream/paths.ts';
import type { Pull, PullOptions } from './upstream/pull-client.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { createTokenService } from './upstream/token-service.ts';

const KB = 1024;
const MB = 1024 * KB;

let stage: Stage;
let registry: ScriptedRegistry;

beforeAll(async () => {
  stage = await startStage();
  ({ registry } = stage);
});

afterEach(() => registry.reset());

afterAll(() => stage.close());

function herd(count: number, path: string, options?: PullOptions): Pull[] {
  return Array.from({ length: count }, () => stage.client.open(path, options));
}

const all = (pulls: readonly Pull[], what: (pull: Pull) => Promise<void>): Promise<unknown> =>
  Promise.all(pulls.map(what));

describe('a herd at one cold blob (issue 3.1)', () => {
  test.each([
    [8, 4 * MB],
    [64, 2 * MB],
    [1000, 512 * KB],
  ])(
    '%i clients cost one GET, and none waits for more than upstream',
    async (count, size) => {
      const repository = `herd/${count}`;
      const blob = randomBlob(repository, size);
      const path = blobPath(repository, blob);
      registry.put({ repository, blobs: [blob] });
      const held = registry.hold({ path }, 'headers');
      const pulls = herd(count, path);
      await held.arrived;
      await all(pulls, ({ sent }) => sent);
      held.release();
      const results = await Promise.all(pulls.map(({ done }) => done));
      for (const pulled of results) expectWhole(pulled, blob);
      expect(registry.requests.find().map(({ method, bytesSent }) => [method, bytesSent])).toEqual([
        ['GET', size],
      ]);
      expect(stage.proxy.rss().peak).toBeLessThan(400 * MB);
    },
    180_000,
  );

  test.each([8, 64, 1000])(
    'all of %i have the headers, and then each byte, while upstream holds back the rest',
    async (count) => {
      const repository = `herd/held/${count}`;
      const blob = randomBlob(repository, 256 * KB);
      const path = blobPath(repository, blob);
      registry.put({ repository, blobs: [blob] });
      const body = Promise.withResolvers<void>();
      const rest = registry.hold({ path }, 64 * KB, { holdHeaders: body.promise });
      const pulls = herd(count, path);
      await rest.arrived;
      await all(pulls, ({ sent }) => sent);
      body.resolve();
      await all(pulls, ({ headers }) => headers);
      await all(pulls, (pull) => pull.reached(64 * KB));
      expect(new Set(pulls.map(({ status, bytes }) => `${status} ${bytes}`))).toEqual(
        new Set([`200 ${64 * KB}`]),
      );
      rest.release();
      for (const pull of pulls) expectWhole(await pull.done, blob);
      expect(registry.requests.count()).toBe(1);
    },
    180_000,
  );

  test('the headers come before the first byte of the body', async () => {
    const blob = randomBlob('herd/headers', 100 * KB);
    const path = blobPath('herd/headers', blob);
    registry.put({ repository: 'herd/headers', blobs: [blob] });
    const held = registry.hold({ path }, 0);
    const pulls = herd(16, path);
    await all(pulls, ({ headers }) => headers);
    expect(pulls.every(({ status, bytes }) => status === 200 && bytes === 0)).toBe(true);
    held.release();
    for (const pull of pulls) expectWhole(await pull.done, blob);
  });

  test('the last ends with the first', async () => {
    const blob = randomBlob('herd/together', 4 * MB);
    const path = blobPath('herd/together', blob);
    registry.put({ repository: 'herd/together', blobs: [blob] });
    registry.on({ path }, { rate: 2 * MB });
    const began = performance.now();
    const results = await Promise.all(herd(32, path).map(({ done }) => done));
    const ends = results.map(({ endedAt }) => endedAt - began);
    for (const pulled of results) expectWhole(pulled, blob);
    // 5 % on a machine of one's own; other work here must not decide
    expect(Math.max(...ends)).toBeLessThan(Math.min(...ends) * 1.25);
  });
});

describe('a client that does not keep up changes nothing for the others', () => {
  const STALLS: PullOptions = { stallAfter: 64 * KB };
  const CRAWLS: PullOptions = { rate: 10 * KB };
  const LEAVES: PullOptions = { leaveAfter: 64 * KB };

  test.each([
    ['stalls', true, STALLS],
    ['stalls', false, STALLS],
    ['crawls', true, CRAWLS],
    ['crawls', false, CRAWLS],
    ['leaves', true, LEAVES],
    ['leaves', false, LEAVES],
  ] as const)(
    'it %s (the first one: %s)',
    async (name, first, options) => {
      const repository = `herd/${name}/${first}`;
      const blob = randomBlob(repository, 12 * MB);
      const path = blobPath(repository, blob);
      registry.put({ repository, blobs: [blob] });
      const held = registry.hold({ path }, 256 * KB);
      const before = first ? [] : herd(4, path);
      await all(before, ({ firstByte }) => firstByte);
      const slow = stage.client.open(path, options);
      await slow.reached(8 * KB);
      const others = [...before, ...herd(4, path)];
      await all(others, ({ firstByte }) => firstByte);
      held.release();
      for (const other of others) expectWhole(await other.done, blob);
      expect(slow.bytes).toBeLessThan(blob.size);
      expect(registry.requests.count()).toBe(1);
      if (name === 'stalls') {
        slow.resume();
        expectWhole(await slow.done, blob);
      }
      slow.leave();
    },
    60_000,
  );
});

describe('the same goes for', () => {
  const ANY: PullOptions = { headers: { accept: ANY_MANIFEST } };

  test.each(['digest', 'tag'] as const)('a manifest by %s', async (by) => {
    const repository = `herd/manifest/${by}`;
    const { manifest } = craftImage({ seed: repository });
    registry.put({ repository, manifest, tags: ['1'] });
    const path = manifestPath(repository, by === 'tag' ? '1' : manifest);
    const held = registry.hold({ path }, 'headers');
    const pulls = herd(64, path, ANY);
    await held.arrived;
    await all(pulls, ({ sent }) => sent);
    held.release();
    for (const pull of pulls) expectWhole(await pull.done, manifest);
    expect(registry.requests.find({ method: 'GET' })).toHaveLength(1);
  });

  test('the HEAD of a tag', async () => {
    const { manifest } = craftImage({ seed: 'herd/head' });
    registry.put({ repository: 'herd/head', manifest, tags: ['1'] });
    const path = manifestPath('herd/head', '1');
    const held = registry.hold({ path }, 'headers');
    const pulls = herd(64, path, { ...ANY, method: 'HEAD' });
    await held.arrived;
    // one that comes after the answer may ask anew: the tag may have moved
    await all(pulls, ({ sent }) => sent);
    held.release();
    for (const pull of pulls) expect((await pull.done).status).toBe(200);
    expect(registry.requests.all.every(({ method }) => method === 'HEAD')).toBe(true);
    expect(registry.requests.count()).toBeLessThan(32);
  });

  test('a token', async () => {
    const blob = randomBlob('herd/token', 100 * KB);
    const path = blobPath('herd/token', blob);
    registry.put({ repository: 'herd/token', blobs: [blob] });
    const tokens = createTokenService(registry, { may: () => true });
    registry.protect(tokens.guard);
    const held = registry.hold({ path: tokens.path }, 'headers');
    const pulls = herd(64, path);
    await held.arrived;
    await all(pulls, ({ sent }) => sent);
    held.release();
    for (const pull of pulls) expectWhole(await pull.done, blob);
    registry.protect(() => undefined);
    expect(tokens.requests()).toHaveLength(1);
    expect(registry.requests.find({ path }).map(({ status }) => status)).toEqual([401, 200]);
  });
});
