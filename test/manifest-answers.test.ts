import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { blobOf, randomContent, toBuffer } from './upstream/content.ts';
import {
  ANY_MANIFEST,
  craftImage,
  craftIndex,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
  type Image,
  type Manifest,
} from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import type { PullClient, Pulled } from './upstream/pull-client.ts';
import type { ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';

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

const ANY = { headers: { accept: ANY_MANIFEST } };

/** A new repository with one image under the tag `1`. */
function publish(mediaType?: string): { repository: string; image: Image; tag: string; digest: string } {
  count += 1;
  const repository = `answers/${count}`;
  const image = craftImage({ seed: repository, ...(mediaType === undefined ? {} : { mediaType }) });
  registry.putImage(repository, image, '1');
  return {
    repository,
    image,
    tag: manifestPath(repository, '1'),
    digest: manifestPath(repository, image.manifest),
  };
}

function expectManifest(pulled: Pulled, manifest: Manifest): void {
  expectWhole(pulled, manifest);
  expectFacts(pulled, manifest);
}

function expectFacts({ headers }: Pulled, manifest: Manifest): void {
  expect(headers).toMatchObject({
    'content-type': manifest.mediaType,
    'docker-content-digest': manifest.digest,
    'content-length': String(manifest.size),
    etag: `"${manifest.digest}"`,
  });
}

const methods = (): string[] => registry.requests.all.map(({ method }) => method);

describe.each(['tag', 'digest'] as const)('a manifest by %s (issue 2.4)', (by) => {
  test('GET says what it is, cold and warm', async () => {
    const published = publish();
    expectManifest(await client.get(published[by], ANY), published.image.manifest);
    const warm = await client.get(published[by], ANY);
    expectManifest(warm, published.image.manifest);
    expect(methods()).toEqual(by === 'tag' ? ['GET', 'HEAD'] : ['GET']);
    expect(cacheStatus(warm)).toBe(by === 'tag' ? 'REVALIDATED' : 'HIT');
  });

  test('HEAD says the same without a body, and is HEAD upstream', async () => {
    const published = publish();
    for (const _ of ['cold', 'again']) {
      const pulled = await client.head(published[by], ANY);
      expect(pulled).toMatchObject({ status: 200, complete: true, bytes: 0 });
      expectFacts(pulled, published.image.manifest);
    }
    expect(new Set(methods())).toEqual(new Set(['HEAD']));
    await client.get(published[by], ANY);
    registry.requests.forget();
    expectFacts(await client.head(published[by], ANY), published.image.manifest);
    expect(methods()).toEqual(by === 'tag' ? ['HEAD'] : []);
  });

  test('the type has no parameters, even where upstream adds some', async () => {
    const published = publish();
    registry.on({}, { headers: { 'content-type': `${OCI_MANIFEST}; charset=utf-8` } });
    expectManifest(await client.get(published[by], ANY), published.image.manifest);
    expectFacts(await client.head(published[by], ANY), published.image.manifest);
    expect(registry.requests.count()).toBeGreaterThan(0);
  });

  test('If-None-Match with its digest brings 304', async () => {
    const published = publish();
    const { digest } = published.image.manifest;
    const options = { headers: { ...ANY.headers, 'if-none-match': `"${digest}"` } };
    for (const method of ['GET', 'HEAD', 'GET']) {
      const pulled = await client.open(published[by], { ...options, method }).done;
      expect(pulled).toMatchObject({ status: 304, bytes: 0, complete: true });
      expect(pulled.headers.etag).toBe(`"${digest}"`);
    }
    const other = { headers: { ...ANY.headers, 'if-none-match': '"sha256:0"' } };
    expectManifest(await client.get(published[by], other), published.image.manifest);
  });

  test('upstream is asked for the bytes as they are, whatever the client takes', async () => {
    const published = publish();
    const options = { headers: { ...ANY.headers, 'accept-encoding': 'zstd, gzip' } };
    await client.head(published[by], options);
    await client.get(published[by], options);
    await client.get(published[by], options);
    expect(registry.requests.count()).toBeGreaterThan(1);
    for (const { headers } of registry.requests.all) expect(headers['accept-encoding']).toBe('identity');
  });

  test('a client that does not accept the stored type is answered by upstream', async () => {
    const published = publish(OCI_MANIFEST);
    await client.get(published[by], ANY);
    registry.requests.forget();
    const other = craftImage({ seed: published.repository, mediaType: DOCKER_MANIFEST }).manifest;
    registry.on({}, ({ headers }) => {
      if (headers.accept !== DOCKER_MANIFEST) return {};
      return {
        body: other,
        headers: { 'content-type': DOCKER_MANIFEST, 'docker-content-digest': other.digest, etag: '"x"' },
      };
    });
    const pulled = await client.get(published[by], { headers: { accept: DOCKER_MANIFEST } });
    expect(pulled.status).toBe(200);
    expect(pulled.sha256).toBe(other.digest.slice('sha256:'.length));
    expect(pulled.headers['content-type']).toBe(DOCKER_MANIFEST);
    expect(registry.requests.all[0]?.headers.accept).toBe(DOCKER_MANIFEST);
    // a condition of its own is not put to upstream, which would count the 304 as a pull
    const none = {
      'if-none-match': `"${published.image.manifest.digest}"`,
      'if-modified-since': new Date().toUTCString(),
    };
    await client.get(published[by], { headers: { accept: DOCKER_MANIFEST, ...none } });
    for (const { headers } of registry.requests.all)
      expect(Object.keys(headers).filter((name) => name.startsWith('if-'))).toEqual([]);
    // and the stored one is still what it was
    expectManifest(await client.get(published[by], ANY), published.image.manifest);
  });

  test('what upstream refuses reaches the client as it is', async () => {
    const published = publish();
    const missing = published[by].replace(/answers\/\d+/, 'answers/none');
    const pulled = await client.get(missing, ANY);
    expect(pulled.status).toBe(404);
    expect(JSON.parse(pulled.body.toString())).toMatchObject({ errors: [{ code: 'NAME_UNKNOWN' }] });
    expect((await client.head(missing, ANY)).status).toBe(404);
  });
});

describe('a tag', () => {
  test('may mean another manifest for another Accept', async () => {
    const { repository, image, tag } = publish(OCI_MANIFEST);
    const list = craftIndex([image], DOCKER_LIST);
    registry.put({ repository, manifests: [list] });
    registry.on({ path: tag }, ({ headers }) =>
      headers.accept === DOCKER_LIST
        ? {
            body: list,
            headers: { 'content-type': DOCKER_LIST, 'docker-content-digest': list.digest },
          }
        : {},
    );
    for (const _ of ['cold', 'warm']) {
      expectManifest(await client.get(tag, ANY), image.manifest);
      expectManifest(await client.get(tag, { headers: { accept: DOCKER_LIST } }), list);
    }
    expect(methods()).toEqual(['GET', 'GET', 'HEAD', 'HEAD']);
  });

  test('is what its headers say, though upstream does not say its digest', async () => {
    const { image, tag } = publish();
    registry.on({}, { omit: ['docker-content-digest', 'etag'] });
    expectManifest(await client.get(tag, ANY), image.manifest);
    expectManifest(await client.get(tag, ANY), image.manifest);
    expect(methods()).toContain('GET');
  });

  test('HEAD of one whose digest upstream does not say is answered as upstream did', async () => {
    const { image, tag } = publish();
    registry.on({}, { omit: ['docker-content-digest', 'etag'] });
    const pulled = await client.head(tag, ANY);
    expect(pulled.status).toBe(200);
    expect(pulled.headers['content-length']).toBe(String(image.manifest.size));
    expect(pulled.headers['content-type']).toBe(image.manifest.mediaType);
    expect(new Set(methods())).toEqual(new Set(['HEAD']));
  });

  test('HEAD that upstream does not know reaches the client as 405, which then asks by GET', async () => {
    const { image, tag } = publish();
    registry.on({ method: 'HEAD' }, { status: 405 });
    expect((await client.head(tag, ANY)).status).toBe(405);
    expect(new Set(methods())).toEqual(new Set(['HEAD']));
    expectManifest(await client.get(tag, ANY), image.manifest);
  });

  test.each([404, 405])('is checked by GET where upstream answers HEAD with %i', async (status) => {
    const { image, tag } = publish();
    registry.on({ method: 'HEAD' }, { status });
    for (const _ of ['cold', 'warm']) expectManifest(await client.get(tag, ANY), image.manifest);
    expect(methods()).toEqual(['GET', 'HEAD', 'GET']);
  });

  test('that moved is served anew', async () => {
    const { repository, image, tag } = publish();
    expectManifest(await client.get(tag, ANY), image.manifest);
    const next = craftImage({ seed: `${repository} moved` });
    registry.putImage(repository, next, '1');
    expectManifest(await client.get(tag, ANY), next.manifest);
    expectManifest(await client.get(manifestPath(repository, image.manifest), ANY), image.manifest);
    expect(registry.requests.count({ path: tag })).toBe(2);
  });
});

describe('sha512', () => {
  test('manifests and blobs are found, checked and kept by it', async () => {
    const repository = 'sha512';
    const { manifest } = craftImage({ seed: repository, algorithm: 'sha512' });
    const blob = blobOf(randomContent(repository, 100_000), 'sha512');
    registry.put({ repository, tags: ['1'], manifest, blobs: [blob] });
    expectManifest(await client.get(manifestPath(repository, '1'), ANY), manifest);
    expectManifest(await client.get(manifestPath(repository, manifest), ANY), manifest);
    const pulled = await client.get(blobPath(repository, blob));
    expectWhole(pulled, blob);
    expect(pulled.headers['docker-content-digest']).toBe(blob.digest);
    await stage.proxy.stored(blob);
    registry.requests.forget();
    expectWhole(await untilHit(() => client.get(blobPath(repository, blob))), blob);
    expect(registry.requests.count()).toBe(0);
  });

  test('wrong bytes are not taken for it', async () => {
    const blob = blobOf(randomContent('sha512 wrong', 1000), 'sha512');
    registry.put({ repository: 'sha512', blobs: [blob] });
    registry.on({}, { flipAt: 10 });
    await client.get(blobPath('sha512', blob));
    expect(await stage.proxy.files('blobs')).not.toContain(blob.digest.slice('sha512:'.length));
  });
});

describe('the path of blobs', () => {
  test.each([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])(
    "gives a manifest with a manifest's type: %s",
    async (mediaType) => {
      for (const order of ['blob first', 'manifest first'] as const) {
        const { repository, image, digest } = publish(mediaType);
        if (order === 'manifest first') await client.get(digest, ANY);
        const path = blobPath(repository, image.manifest);
        for (const _ of ['cold', 'warm']) {
          const pulled = await client.get(path);
          expectWhole(pulled, image.manifest);
          expect(pulled.headers['content-type']).toBe(mediaType);
        }
        expect((await client.head(path)).headers['content-type']).toBe(mediaType);
      }
    },
  );

  test('calls everything else a stream of bytes', async () => {
    const { repository, image } = publish();
    const path = blobPath(repository, image.config);
    registry.on({ path }, { headers: { 'content-type': 'application/json; charset=utf-8' } });
    expect((await client.get(path)).headers['content-type']).toBe('application/octet-stream');
    expectWhole(await client.get(path), image.config);
  });

  test('upstream need not say a digest', async () => {
    const { repository, image } = publish();
    registry.on({}, { omit: ['docker-content-digest', 'etag', 'accept-ranges', 'content-type'] });
    const pulled = await client.get(blobPath(repository, image.config));
    expectWhole(pulled, image.config);
    expect(pulled.headers['docker-content-digest']).toBe(image.config.digest);
  });
});

describe('all else below /v2/ passes through untouched', () => {
  const LINK = '</v2/answers/x/tags/list?n=2&last=b>; rel="next"';
  const WARNING = '299 - "this registry moves soon"';
  const HEADERS = { link: LINK, warning: WARNING, 'oci-filters-applied': 'artifactType' };

  test.each([
    ['/v2/answers/pass/tags/list', '?n=2&last=a%2Bb'],
    ['/v2/_catalog', '?n=100&last=library%2Fx'],
    [
      `/v2/answers/pass/referrers/sha256:${'0'.repeat(64)}`,
      '?artifactType=application%2Fvnd.example%2Bjson&x=1',
    ],
    ['/v2/answers/pass/unknown/thing', '?a=b&a=c'],
  ])('%s%s', async (path, query) => {
    registry.put({ repository: 'answers/pass' });
    registry.on({ path }, { headers: HEADERS });
    const direct = await fetch(`${registry.origin()}${path}${query}`);
    registry.requests.forget();
    const pulled = await client.get(`${path}${query}`, { headers: { 'x-of-client': 'kept' } });
    expect(pulled).toMatchObject({ status: direct.status, headers: HEADERS });
    expect(pulled.body.toString()).toBe(await direct.text());
    expect(registry.requests.all.map((request) => `${request.path}${request.query}`)).toEqual([
      `${path}${query}`,
    ]);
    expect(registry.requests.all[0]?.headers['x-of-client']).toBe('kept');
  });

  test.each(['/v2/_catalog', '/v2/answers/pass/unknown/thing'])(
    'with every header, and each time: %s',
    async (path) => {
      registry.put({ repository: 'answers/pass' });
      registry.on({ path }, { headers: { 'x-extra': ['1', '2'] } });
      for (const _ of ['once', 'and again']) {
        const pulled = await client.get(path);
        expect(pulled.headers['x-extra']).toBe('1, 2');
        expect(cacheStatus(pulled)).toBe('BYPASS');
      }
      expect(registry.requests.count()).toBe(2);
    },
  );

  test('bodies too, byte for byte', async () => {
    registry.put({ repository: 'answers/pass' });
    const body = randomContent('a large list', 300_000);
    registry.on({}, { body, contentLength: 'none' });
    const pulled = await client.get('/v2/answers/pass/tags/list');
    expect(pulled.bytes).toBe(body.size);
    expect(pulled.sha256).toBe(blobOf(body).digest.slice('sha256:'.length));
    expect(toBuffer(body)).toHaveLength(body.size);
  });

  test('a Warning on a manifest reaches the client that caused the fetch', async () => {
    const { tag } = publish();
    registry.on({}, { headers: { warning: WARNING } });
    const pulled = await client.get(tag, ANY);
    expect(pulled.headers['warning']).toBe(WARNING);
  });
});

describe('a limit of upstream that is reached', () => {
  test.each(['tag', 'digest'] as const)('reaches the client with its Retry-After: %s', async (by) => {
    // on a stage of its own, as the proxy leaves a registry alone that said so
    await using own = await startStage();
    const { manifest } = craftImage({ seed: 'limited' });
    own.registry.put({ repository: 'limited', manifest, tags: ['1'] });
    own.registry.on({}, { status: 429, headers: { 'retry-after': '7', 'ratelimit-limit': '100;w=21600' } });
    const pulled = await own.client.get(manifestPath('limited', by === 'tag' ? '1' : manifest), ANY);
    expect(pulled.status).toBe(429);
    expect(pulled.headers).toMatchObject({ 'retry-after': '7', 'ratelimit-limit': '100;w=21600' });
  });
});
