import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LIST_FRESH_MS } from '../src/pulls/listing.ts';
import { textContent } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { craftImage, OCI_INDEX } from './upstream/image.ts';
import { cacheStatus, expectError, manifestPath } from './upstream/paths.ts';
import type { PullClient, Pulled } from './upstream/pull-client.ts';
import { redirectTo } from './upstream/reply.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const USERS = { alice: 'marked-secret-alice', bob: 'marked-secret-bob' } as const;
const DIGEST = `sha256:${'0'.repeat(64)}`;
const WARNING = '299 - "this registry moves soon"';

let stage: Stage;
let registry: ScriptedRegistry;
let client: PullClient;
let count = 0;

beforeAll(async () => {
  stage = await startStage({ env: { ALLOW_PUSH: 'true' } });
  ({ registry, client } = stage);
});

afterEach(() => {
  registry.reset();
  registry.protect(() => undefined);
});

afterAll(() => stage.close());

interface Listed {
  readonly repository: string;
  /** The paths of its two kinds of lists. */
  readonly tags: string;
  readonly referrers: string;
}

function publish(...tags: readonly string[]): Listed {
  count += 1;
  const repository = `lists/app${count}`;
  registry.putImage(repository, craftImage({ seed: repository }), ...tags);
  return {
    repository,
    tags: `/v2/${repository}/tags/list`,
    referrers: `/v2/${repository}/referrers/${DIGEST}`,
  };
}

const tagsOf = (pulled: Pulled): unknown => (JSON.parse(pulled.body.toString()) as { tags?: unknown }).tags;

describe('a tag list', () => {
  test('is cached briefly', async () => {
    const { repository, tags } = publish('1');
    const first = await client.get(tags);
    const storedAt = Date.now();
    expect(first).toMatchObject({ status: 200, complete: true });
    expect(tagsOf(first)).toEqual(['1']);
    expect(cacheStatus(first)).toBe('MISS');
    registry.putImage(repository, craftImage({ seed: 'two' }), '2');
    const second = await client.get(tags);
    expect(tagsOf(second)).toEqual(['1']);
    expect(cacheStatus(second)).toBe('HIT');
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
    expect(registry.requests.count()).toBe(1);
    await delay(storedAt + LIST_FRESH_MS + 50 - Date.now());
    const third = await client.get(tags);
    expect(tagsOf(third)).toEqual(['1', '2']);
    expect(cacheStatus(third)).toBe('EXPIRED');
  });

  test('comes in pages, each of them its own', async () => {
    const { tags } = publish('a');
    const page = (names: readonly string[], next: string | undefined) => ({
      body: textContent(JSON.stringify({ name: 'lists', tags: names })),
      ...(next === undefined ? {} : { headers: { link: `<${tags}?n=2&last=${next}>; rel="next"` } }),
    });
    registry.on({ path: tags }, ({ query }) =>
      query.includes('last=b') ? page(['c'], undefined) : page(['a', 'b'], 'b'),
    );
    for (const word of ['MISS', 'HIT']) {
      const first = await client.get(`${tags}?n=2`);
      expect(tagsOf(first)).toEqual(['a', 'b']);
      const [, next = ''] = /^<(.*)>; rel="next"$/.exec(String(first.headers['link'])) ?? [];
      const second = await client.get(next);
      expect(tagsOf(second)).toEqual(['c']);
      expect(second.headers['link']).toBeUndefined();
      expect([first, second].map(cacheStatus)).toEqual([word, word]);
    }
    expect(registry.requests.all.map(({ query }) => query)).toEqual(['?n=2', '?n=2&last=b']);
  });

  test('HEAD says the same without a body, and is no list to others', async () => {
    const { tags } = publish('1');
    const head = await client.head(tags);
    const get = await client.get(tags);
    expect(head).toMatchObject({ status: 200, bytes: 0 });
    expect(head.headers['content-length']).toBe(String(get.bytes));
    expect(tagsOf(get)).toEqual(['1']);
    expect(registry.requests.all.map(({ method }) => method)).toEqual(['GET']);
  });

  test('a condition of one client is not put for all', async () => {
    const { tags } = publish('1');
    const pulled = await client.get(tags, { headers: { 'if-none-match': '"x"', range: 'bytes=0-1' } });
    expect(pulled.status).toBe(200);
    const [seen] = registry.requests.all;
    expect(seen?.headers['if-none-match']).toBeUndefined();
    expect(seen?.headers['range']).toBeUndefined();
  });

  test('many at once are one question', async () => {
    const { tags } = publish('1');
    const held = registry.hold({ path: tags }, 'headers');
    const clients = Array.from({ length: 20 }, () => stage.newClient());
    // connections take their time
    await Promise.all(clients.map((one) => one.get('/v1/')));
    const pulls = clients.map((one) => one.open(tags));
    await held.arrived;
    await delay(300);
    held.release();
    for (const { done } of pulls) expect(tagsOf(await done)).toEqual(['1']);
    for (const one of clients) one.close();
    expect(registry.requests.count()).toBe(1);
  });

  test('a push through the proxy shows in it at once', async () => {
    const { repository, tags } = publish('1');
    await client.get(tags);
    registry.on({ method: 'PUT' }, { status: 201 });
    registry.putImage(repository, craftImage({ seed: 'pushed' }), '2');
    expect(tagsOf(await client.get(tags))).toEqual(['1']);
    const pushed = await client.open(manifestPath(repository, '2'), { method: 'PUT' }).done;
    expect(pushed.status).toBe(201);
    expect(tagsOf(await client.get(tags))).toEqual(['1', '2']);
  });

  test('a push that is refused changes nothing', async () => {
    const { repository, tags } = publish('1');
    await client.get(tags);
    registry.on({ method: 'PUT' }, { status: 403 });
    await client.open(manifestPath(repository, '2'), { method: 'PUT' }).done;
    expect(cacheStatus(await client.get(tags))).toBe('HIT');
  });

  test('a redirect is followed, and the next page has a path that the client knows', async () => {
    await using other = await startScriptedRegistry();
    other.putImage('far/app', craftImage({ seed: 'far' }), '1');
    const { tags } = publish();
    other.on({}, { headers: { link: '</v2/far/app/tags/list?n=1&last=1>; rel="next"' } });
    registry.on({ path: tags }, redirectTo(`${other.origin()}/v2/far/app/tags/list?n=1`));
    const pulled = await client.get(`${tags}?n=1`);
    expect(tagsOf(pulled)).toEqual(['1']);
    expect(pulled.headers['link']).toBe(`<${tags}?n=1&last=1>; rel="next"`);
  });
});

describe('referrers', () => {
  const SIGNATURES = 'application/vnd.example.signature';

  function serve(referrers: string): void {
    const manifests = [{ mediaType: OCI_INDEX, digest: DIGEST, size: 1, artifactType: SIGNATURES }];
    registry.on({ path: referrers }, ({ query }) => ({
      headers: {
        'content-type': OCI_INDEX,
        warning: WARNING,
        ...(query.includes('artifactType=') ? { 'oci-filters-applied': 'artifactType' } : {}),
      },
      body: textContent(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })),
    }));
  }

  test('keep their type, the filter that was applied and what the registry has to say', async () => {
    const { referrers } = publish('1');
    serve(referrers);
    const query = `?artifactType=${encodeURIComponent(SIGNATURES)}`;
    for (const word of ['MISS', 'HIT']) {
      const filtered = await client.get(`${referrers}${query}`);
      expect(filtered.headers).toMatchObject({
        'content-type': OCI_INDEX,
        'oci-filters-applied': 'artifactType',
        warning: WARNING,
      });
      const all = await client.get(referrers);
      expect(all.headers['oci-filters-applied']).toBeUndefined();
      expect([filtered, all].map(cacheStatus)).toEqual([word, word]);
    }
    expect(registry.requests.all.map((request) => request.query)).toEqual([query, '']);
  });

  test('of a registry that does not know them are missing, so that clients look for the tag', async () => {
    const { repository, referrers } = publish('1');
    const tag = `sha256-${'0'.repeat(64)}`;
    registry.on({ path: referrers }, { status: 404 });
    const signature = craftImage({ seed: 'signature' });
    registry.putImage(repository, signature, tag);
    expect((await client.get(referrers)).status).toBe(404);
    const fallback = await client.get(manifestPath(repository, tag));
    expect(fallback.headers['docker-content-digest']).toBe(signature.manifest.digest);
  });

  test('a push shows in them at once', async () => {
    const { repository, referrers } = publish('1');
    serve(referrers);
    await client.get(referrers);
    registry.on({ method: 'PUT' }, { status: 201 });
    await client.open(manifestPath(repository, { digest: DIGEST }), { method: 'PUT' }).done;
    expect(cacheStatus(await client.get(referrers))).toBe('MISS');
  });
});

describe('private lists', () => {
  test('are those of one user', async () => {
    const { repository, tags } = publish('1');
    registry.protect(
      basicGuard({
        users: USERS,
        may: (user, name) => user === 'alice' || (user === 'bob' && name !== repository),
      }),
    );
    const alice = { authorization: basic('alice', 'marked-secret-alice') };
    expect(tagsOf(await client.get(tags, alice))).toEqual(['1']);
    expect((await client.get(tags, { authorization: basic('bob', 'marked-secret-bob') })).status).toBe(403);
    expect((await client.get(tags)).status).toBe(401);
    expect(cacheStatus(await client.get(tags, alice))).toBe('HIT');
    registry.on({}, { status: 503 });
    expect((await client.get(tags, { authorization: basic('bob', 'marked-secret-bob') })).status).toBe(503);
    // who has brought no credentials is asked for some, as before
    expect((await client.get(tags)).status).toBe(401);
  });
});

describe('in an outage', () => {
  test('what was listed is served as it was, and what was not fails at once', async () => {
    await using own = await startStage();
    const repository = 'lists/outage';
    own.registry.putImage(repository, craftImage({ seed: 'outage' }), '1');
    const paths = [`/v2/${repository}/tags/list`, `/v2/${repository}/referrers/${DIGEST}`];
    own.registry.on({ path: paths[1] ?? '' }, { headers: { warning: WARNING } });
    const before: Pulled[] = [];
    for (const path of paths) before.push(await own.client.get(path));
    await delay(LIST_FRESH_MS + 50);
    for (const status of [500, 502, 503, 504]) {
      const rule = own.registry.on({}, { status });
      const pulled = await own.client.get(paths[0] ?? '');
      expect(cacheStatus(pulled)).toBe('STALE');
      rule.remove();
    }
    for (const status of [401, 403, 404]) {
      const rule = own.registry.on({}, { status });
      expect((await own.client.get(paths[0] ?? '')).status).toBe(status);
      rule.remove();
    }
    await own.registry.close();
    for (const restarted of [false, true]) {
      if (restarted) await own.proxy.restart();
      const after = own.newClient();
      for (const [at, path] of paths.entries()) {
        const pulled = await after.get(path);
        expect(pulled).toMatchObject({ status: 200, complete: true });
        expect(pulled.body).toEqual(before[at]?.body);
        expect(cacheStatus(pulled)).toBe('STALE');
        expect(pulled.headers['warning']).toContain('110 - "Response is Stale"');
      }
      expect((await after.get(paths[1] ?? '')).headers['warning']).toContain(WARNING);
      expectError(await after.get('/v2/lists/other/tags/list'), 502, 'UPSTREAM_CONNECT');
    }
  });
});
