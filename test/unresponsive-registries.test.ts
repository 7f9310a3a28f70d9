import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LAST_PATIENCE_MS, PATIENCE_MS } from '../src/pulls/patience.ts';
import type { Blob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectError, expectWhole, manifestPath } from './upstream/paths.ts';
import type { Pulled, PullOptions } from './upstream/pull-client.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const ALICE = { authorization: basic('alice', 'marked-secret-alice'), headers: { accept: ANY_MANIFEST } };
const image = craftImage({ seed: 'slow', layers: [5_000] });
const layer = image.layers[0] as Blob;
const IMAGE = [
  ['tag', manifestPath('team/app', '1'), image.manifest],
  ['manifest', manifestPath('team/app', image.manifest), image.manifest],
  ['layer', blobPath('team/app', layer), layer],
] as const;

let stage: Stage;

beforeAll(async () => {
  stage = await startStage({ env: { PRIVATE_CHECK_INTERVAL: '0' } });
  stage.registry.putImage('team/app', image, '1');
});

afterEach(() => stage.registry.reset());

afterAll(() => stage.close());

/** Asks for all of these at once; gives the answers with the milliseconds to each. */
function askAll(questions: readonly (readonly [string, PullOptions])[]): Promise<[Pulled, number][]> {
  return Promise.all(
    questions.map(async ([path, options]): Promise<[Pulled, number]> => {
      using client = stage.newClient();
      const began = performance.now();
      const pulled = await client.open(path, options).done;
      return [pulled, pulled.headersAt - began];
    }),
  );
}

describe('a registry that takes requests and does not answer', () => {
  test('what is not cached fails before clients give up, and is there when it answers at last', async () => {
    const held = Promise.withResolvers<void>();
    stage.registry.on({}, { holdHeaders: held.promise });
    const lists = ['/v2/team/app/tags/list', `/v2/team/app/referrers/${image.manifest.digest}`];
    const paths = [...IMAGE.map(([, path]) => path), ...lists];
    const headOnly = [manifestPath('team/app', '1'), blobPath('team/app', layer)];
    const answers = await askAll([
      ...paths.map((path) => [path, { headers: ALICE.headers }] as const),
      ...headOnly.map((path) => [path, { method: 'HEAD', headers: ALICE.headers }] as const),
    ]);
    for (const [pulled, milliseconds] of answers) {
      expect(milliseconds).toBeGreaterThan(LAST_PATIENCE_MS - 1_000);
      expect(milliseconds).toBeLessThan(LAST_PATIENCE_MS + 3_000);
      expect(pulled.status).toBe(504);
    }
    for (const [pulled] of answers.slice(0, paths.length)) expectError(pulled, 504, 'UPSTREAM_TIMEOUT');

    const asked = stage.registry.requests.count({ method: 'GET' });
    const again = askAll(IMAGE.map(([, path]) => [path, { headers: ALICE.headers }] as const));
    held.resolve();
    for (const [at, [pulled]] of (await again).entries()) expectWhole(pulled, IMAGE[at]![2]);
    expect(stage.registry.requests.count({ method: 'GET' })).toBe(asked);
  });

  test('what is cached and may be served is, long before', async () => {
    stage.registry.protect(basicGuard({ users: { alice: 'marked-secret-alice' } }));
    const own = craftImage({ seed: 'own', layers: [5_000] });
    const [blob] = own.layers as [Blob];
    stage.registry.putImage('alice/app', own, '1');
    const contents = [
      [manifestPath('alice/app', '1'), own.manifest],
      [manifestPath('alice/app', own.manifest), own.manifest],
      [blobPath('alice/app', blob), blob],
    ] as const;
    for (const [path, content] of contents) expectWhole(await stage.client.get(path, ALICE), content);
    stage.registry.on({}, { holdHeaders: new Promise(() => undefined) });
    const answers = await askAll([
      ...contents.map(([path]) => [path, ALICE] as const),
      ...contents.map(([path]) => [path, { ...ALICE, method: 'HEAD' }] as const),
    ]);
    for (const [, milliseconds] of answers) expect(milliseconds).toBeLessThan(2 * PATIENCE_MS + 1_500);
    for (const [at, [path, content]] of contents.entries()) {
      expectWhole(answers[at]![0], content);
      const [head] = answers[at + contents.length]!;
      expect(head.status, path).toBe(200);
      expect(head.headers['docker-content-digest'], path).toBe(content.digest);
    }
    expect(answers.map(([pulled]) => cacheStatus(pulled)).filter((word) => word === 'STALE')).toHaveLength(2);
  });
});

describe('a registry that is away', () => {
  test('HEAD by digest is answered for those who were accepted, and for nobody else', async () => {
    stage.registry.protect(basicGuard({ users: { alice: 'marked-secret-alice' } }));
    const own = craftImage({ seed: 'away', layers: [5_000] });
    const [blob] = own.layers as [Blob];
    stage.registry.putImage('alice/away', own, '1');
    const contents = [
      [manifestPath('alice/away', own.manifest), own.manifest],
      [blobPath('alice/away', blob), blob],
    ] as const;
    for (const [path, content] of contents) expectWhole(await stage.client.get(path, ALICE), content);
    stage.registry.on({}, { status: 503 });
    for (const [path, { digest, size }] of contents) {
      const pulled = await stage.client.head(path, ALICE);
      expect(pulled).toMatchObject({
        status: 200,
        headers: { 'docker-content-digest': digest, 'content-length': String(size) },
      });
      expect(
        (await stage.client.head(path, { ...ALICE, authorization: basic('alice', 'marked-secret-guess') }))
          .status,
      ).toBe(503);
    }
  });

  test('a refusal before it counts: who was refused is not served', async () => {
    const users = { alice: 'marked-secret-alice', carol: 'marked-secret-carol' } as const;
    stage.registry.protect(basicGuard({ users }));
    const own = craftImage({ seed: 'revoked' });
    stage.registry.putImage('alice/revoked', own, '1');
    const path = manifestPath('alice/revoked', '1');
    const carol = { ...ALICE, authorization: basic('carol', 'marked-secret-carol') };
    for (const options of [ALICE, carol]) expectWhole(await stage.client.get(path, options), own.manifest);
    stage.registry.protect(basicGuard({ users, may: (user) => user === 'carol' }));
    expect((await stage.client.get(path, ALICE)).status).toBe(403);
    stage.registry.on({}, { status: 503 });
    expect((await stage.client.get(path, ALICE)).status).toBe(503);
    expectWhole(await stage.client.get(path, carol), own.manifest);
  });

  test('a try that comes right after a failure is a new one', async () => {
    const blob = craftImage({ seed: 'again', layers: [5_000] }).layers[0] as Blob;
    stage.registry.put({ repository: 'library/again', blobs: [blob] });
    stage.registry.protect(() => undefined);
    const path = blobPath('library/again', blob);
    for (let turn = 0; turn < 20; turn += 1) {
      stage.registry.on({ method: 'GET', path }, { status: 500 }, 1);
      expect((await stage.client.get(path)).status).toBe(500);
      expect(stage.registry.requests.count({ path })).toBe(turn + 1);
    }
    expectWhole(await stage.client.get(path), blob);
  });
});
