import { get } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { randomBlob, type Blob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectError, expectWhole, manifestPath, untilHit } from './upstream/paths.ts';
import { redirectTo } from './upstream/reply.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startScriptedServer, type ScriptedServer } from './upstream/scripted-server.ts';
import { createSignedUrls } from './upstream/signed-urls.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { createTokenService } from './upstream/token-service.ts';

let stage: Stage;
let registry: ScriptedRegistry;
/** A host that no setting names. */
let cdn: ScriptedServer;

beforeAll(async () => {
  stage = await startStage({ tls: true });
  ({ registry } = stage);
  cdn = await startScriptedServer({ tls: true });
});

afterEach(() => {
  registry.reset();
  cdn.reset();
});

afterAll(async () => {
  await stage.close();
  await cdn.close();
});

/** Publishes a blob that only the redirect's target can give. */
function publish(repository: string): { path: string; blob: ReturnType<typeof randomBlob> } {
  const blob = randomBlob(repository, 200_000);
  registry.put({ repository, blobs: [blob] });
  return { path: blobPath(repository, blob), blob };
}

describe('a redirect is followed inside the proxy (issue 2.6)', () => {
  test.each([301, 302, 303, 307, 308])('%i to a host that is listed nowhere', async (status) => {
    const { path, blob } = publish(`status/${status}`);
    cdn.serve(`/store/${status}`, blob);
    registry.on({ path }, redirectTo(`${cdn.origin()}/store/${status}`, status));

    expectWhole(await stage.client.get(path), blob);
    expect(registry.requests.count()).toBe(1);
    expect(cdn.requests.find()).toMatchObject([{ method: 'GET', path: `/store/${status}`, status: 200 }]);
  });

  test.each([
    ['/elsewhere/absolute-path', '/elsewhere/absolute-path'],
    ['../other/name?key=a%2Fb', '/v2/relative/other/name'],
    ['?query=only', undefined],
    ['//localhost:PORT/scheme-relative', '/scheme-relative'],
  ])('relative: %s', async (location, target) => {
    const { path, blob } = publish('relative');
    const fresh = randomBlob(location, 1000);
    const asked = blobPath('relative', fresh);
    registry.serve(target ?? '/unused', fresh);
    registry.on({ path: asked }, redirectTo(location.replace('PORT', String(registry.port))), 1);
    if (target === undefined) registry.put({ repository: 'relative', blobs: [fresh] });

    expectWhole(await stage.client.get(asked), fresh);
    const [, second] = registry.requests.all;
    expect(`${second?.path}${second?.query}`).toBe(
      `${target ?? asked}${location.includes('?') ? location.slice(location.indexOf('?')) : ''}`,
    );
    expectWhole(await stage.client.get(path), blob);
  });

  test('ten hops are followed, over several origins', async () => {
    const { path, blob } = publish('hops/ten');
    chain(path, 10);
    expectWhole(await stage.client.get(path), blob);
    expect(registry.requests.count() + cdn.requests.count()).toBe(11);
  });

  test('the eleventh hop is refused with a clear error', async () => {
    const { path } = publish('hops/eleven');
    chain(path, 11);
    const pulled = await stage.client.get(path);
    expectError(pulled, 502, 'UPSTREAM_REDIRECTS');
    expect(pulled.body.toString()).toContain('10');
  });

  test('a loop ends with a clear error', async () => {
    const { path } = publish('loop');
    registry.on({ path }, redirectTo(path));
    expectError(await stage.client.get(path), 502, 'UPSTREAM_REDIRECTS');
    expect(registry.requests.count()).toBe(11);
  });

  test.each(['ftp://localhost/x', 'https://', 'javascript:alert(1)'])(
    'an address that cannot be followed is named as such: %s',
    async (location) => {
      const { path } = publish(`nowhere/${location.length}`);
      registry.on({ path }, redirectTo(location));
      expectError(await stage.client.get(path), 502, 'UPSTREAM_REDIRECTS');
      expect(registry.requests.count()).toBe(1);
    },
  );

  test('HEAD stays HEAD, with the length of the target', async () => {
    const { path, blob } = publish('head');
    cdn.serve('/head', blob);
    registry.on({ path }, redirectTo(`${cdn.origin()}/head`));
    const pulled = await stage.client.head(path);
    expect(pulled).toMatchObject({ status: 200, bytes: 0 });
    expect(pulled.headers['content-length']).toBe(String(blob.size));
    expect(cdn.requests.all.map(({ method }) => method)).toEqual(['HEAD']);
    expect(registry.requests.all.map(({ method }) => method)).toEqual(['HEAD']);
  });

  test('the headers of the target may be 21 KB', async () => {
    const { path, blob } = publish('large-headers');
    cdn.serve('/large', blob);
    cdn.on({ path: '/large' }, { padHeaders: 21 * 1024 });
    registry.on({ path }, redirectTo(`${cdn.origin()}/large`));
    expectWhole(await stage.client.get(path), blob);
    expect(cdn.requests.count()).toBe(1);
  });

  /** Redirects `count` times, to and fro between the two servers, then to the content. */
  function chain(path: string, count: number): void {
    const stop = (hop: number): string =>
      `${hop % 2 === 0 ? registry.origin() : cdn.origin()}/hop/${hop}${path}`;
    registry.on({ path }, redirectTo(stop(1)));
    for (const server of [registry, cdn]) {
      server.on({ path: /^\/hop\// }, ({ path: at }) => {
        const hop = Number(at.split('/')[2]);
        return hop < count ? redirectTo(stop(hop + 1)) : {};
      });
    }
    const last = count % 2 === 0 ? registry : cdn;
    last.serve(
      `/hop/${count}${path}`,
      randomBlob(path.split('/blobs/')[0]?.slice('/v2/'.length) ?? '', 200_000),
    );
  }
});

describe('what a client sent to one origin is not shown to another', () => {
  test("Authorization, cookies and all else stay at the registry's", async () => {
    const { path, blob } = publish('crossing');
    cdn.serve('/crossing', blob);
    registry.on({ path }, redirectTo(`${cdn.origin()}/crossing`));
    const pulled = await stage.client.get(path, {
      authorization: 'Bearer marked-secret-of-the-client',
      headers: { cookie: 'session=1', 'x-secret': 'yes', 'proxy-authorization': 'Basic eDp5' },
    });
    expectWhole(pulled, blob);
    expect(registry.requests.all[0]?.headers.authorization).toBe('Bearer marked-secret-of-the-client');
    const seen = cdn.requests.all[0]?.headers ?? {};
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(['authorization']));
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(['cookie']));
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(['x-secret']));
    expect(JSON.stringify(seen)).not.toContain('eDp5');
  });

  test('nor on the way of HEAD, which is passed on as it came', async () => {
    const { path, blob } = publish('crossing/head');
    cdn.serve('/crossing-head', blob);
    registry.on({ path }, redirectTo(`${cdn.origin()}/crossing-head`));
    await stage.client.head(path, {
      authorization: 'Bearer marked-secret-x',
      headers: { cookie: 'session=1' },
    });
    const seen = Object.keys(cdn.requests.all[0]?.headers ?? {});
    expect(seen).not.toContain('authorization');
    expect(seen).not.toContain('cookie');
  });

  test('another port, or the address instead of the name, is another origin', async () => {
    const { path, blob } = publish('crossing/name');
    registry.serve('/by-address', blob);
    registry.on({ path }, redirectTo(`${registry.origin('127.0.0.1')}/by-address`));
    expectWhole(await stage.client.get(path, { authorization: 'Bearer marked-secret-x' }), blob);
    expect(registry.requests.find({ path: '/by-address' })[0]?.headers.authorization).toBeUndefined();
  });

  test('a credential that was left behind does not come back on the way home', async () => {
    const { path, blob } = publish('crossing/home');
    registry.serve('/home', blob);
    cdn.on({ path: '/turn' }, redirectTo(`${registry.origin()}/home`));
    registry.on({ path }, redirectTo(`${cdn.origin()}/turn`));
    expectWhole(await stage.client.get(path, { authorization: 'Bearer marked-secret-x' }), blob);
    expect(registry.requests.find({ path: '/home' })[0]?.headers.authorization).toBeUndefined();
  });

  test('within one origin the credential goes along', async () => {
    const { path, blob } = publish('crossing/not');
    registry.serve('/inside', blob);
    registry.on({ path }, redirectTo('/inside'));
    expectWhole(await stage.client.get(path, { authorization: 'Bearer marked-secret-x' }), blob);
    expect(registry.requests.find({ path: '/inside' })[0]?.headers.authorization).toBe(
      'Bearer marked-secret-x',
    );
  });

  test("the proxy's own credentials do not cross either, even if the target asks for some", async () => {
    await using other = await startScriptedServer();
    await using own = await startStage({
      env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:marked-secret-alice` }),
    });
    const blob = randomBlob('own credentials', 1000);
    own.registry.put({ repository: 'a', blobs: [blob] });
    own.registry.protect(basicGuard({ users: { alice: 'marked-secret-alice' } }));
    const path = blobPath('a', blob);
    own.registry.on({ path }, ({ headers }) =>
      headers.authorization === undefined ? {} : redirectTo(`${other.origin('127.0.0.1')}/x`),
    );
    other.on({ path: '/x' }, { status: 401, headers: { 'www-authenticate': 'Basic realm="give me"' } });
    const pulled = await own.client.get(path);
    expect(pulled.status).toBe(401);
    expect(own.registry.requests.all.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      basic('alice', 'marked-secret-alice'),
    ]);
    expect(other.requests.count()).toBeGreaterThan(0);
    expect(other.requests.all.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});

describe('a redirect to what only the credentials of the proxy open', () => {
  let own: Stage;
  let front: ScriptedRegistry;
  let blob: Blob;
  let target: string;
  beforeAll(async () => {
    front = await startScriptedRegistry();
    own = await startStage({
      registries: [front],
      env: ({ host }) => ({ AUTH_REGISTRIES: `${host}:alice:marked-secret-alice` }),
    });
    own.registry.protect(basicGuard({ users: { alice: 'marked-secret-alice' } }));
    blob = randomBlob('not lent', 1000);
    own.registry.put({ repository: 'alice/app', blobs: [blob] });
    target = `${own.registry.origin()}${blobPath('alice/app', blob)}`;
    front.on({ path: blobPath('front', blob) }, redirectTo(target));
  });
  afterAll(async () => {
    await own.close();
    await front.close();
  });

  test('is not followed on them for a client with credentials of its own', async () => {
    const client = own.newClient(front);
    const options = { authorization: 'Bearer marked-secret-of-the-front' };
    expect((await client.get(blobPath('front', blob), options)).status).toBe(401);
    expect(own.registry.requests.all.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test('is not followed on them from a host that is no registry', async () => {
    await using stranger = await startScriptedServer();
    stranger.on({}, redirectTo(target));
    own.registry.requests.forget();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const path = `${stranger.origin()}${blobPath('x', blob)}`;
      const { port } = own.proxy;
      const headers = { host: new URL(path).host };
      get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode));
      }).on('error', reject);
    });
    expect(status).toBe(401);
    expect(own.registry.requests.all.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });
});

describe('the object is kept under its digest', () => {
  test('the second pull asks nobody, though the signed URL has expired', async () => {
    const { path, blob } = publish('signed');
    const signed = createSignedUrls(cdn, { uses: 1 });
    registry.on({ path }, signed.redirect(blob));
    expectWhole(await stage.client.get(path), blob);
    await stage.proxy.stored(blob);
    signed.expireAll();
    registry.requests.forget();
    cdn.requests.forget();

    const again = await untilHit(() => stage.client.get(path));
    expectWhole(again, blob);
    expect(cacheStatus(again)).toBe('HIT');
    expect(registry.requests.count() + cdn.requests.count()).toBe(0);
  });

  test('what another address gives under the same digest is the same object', async () => {
    const { path, blob } = publish('signed/two');
    const signed = createSignedUrls(cdn, { uses: 1 });
    registry.on({ path }, signed.redirect(blob));
    expectWhole(await stage.client.get(path), blob);
    await stage.proxy.stored(blob);
    cdn.requests.forget();
    registry.put({ repository: 'signed/three', blobs: [blob] });
    const other = await stage.client.get(blobPath('signed/three', blob));
    expectWhole(other, blob);
    expect(cdn.requests.count({ method: 'GET' })).toBe(0);
  });

  test('what the redirect leads to is checked: other bytes are never stored', async () => {
    const { path, blob } = publish('wrong');
    cdn.serve('/wrong', randomBlob('something else', blob.size));
    registry.on({ path }, redirectTo(`${cdn.origin()}/wrong`));
    const pulled = await stage.client.get(path);
    expect(pulled.sha256).not.toBe(blob.digest.slice('sha256:'.length));
    expect(await stage.proxy.files('blobs')).not.toContain(blob.digest.slice('sha256:'.length));
  });
});

describe('a redirect to another registry', () => {
  test.each(['blob', 'manifest'] as const)(
    'has its challenge answered, in nobody’s name: %s',
    async (kind) => {
      await using other = await startScriptedRegistry({ tls: true });
      const tokens = createTokenService(other, { may: () => true });
      other.protect(tokens.guard);
      const image = craftImage({ seed: `mirror ${kind}`, layers: [50_000] });
      other.putImage('mirrored/app', image, '1');
      const [layer] = image.layers;
      const target =
        kind === 'blob' ? blobPath('mirrored/app', layer!) : manifestPath('mirrored/app', image.manifest);
      const path = target.replace('mirrored/app', `front/${kind}`);
      registry.on({ path }, redirectTo(`${other.origin()}${target}`));

      const pulled = await stage.client.get(path, {
        authorization: 'Bearer marked-secret-of-the-front',
        headers: { accept: ANY_MANIFEST },
      });
      expectWhole(pulled, kind === 'blob' ? layer! : image.manifest);
      expect(tokens.requests()).toHaveLength(1);
      expect(tokens.requests()[0]?.headers.authorization).toBeUndefined();
      expect(other.requests.find({ path: target }).map(({ status }) => status)).toEqual([401, 200]);
    },
  );

  test('the scope of its token names the repository over there', async () => {
    await using other = await startScriptedRegistry({ tls: true });
    const tokens = createTokenService(other, { may: () => true });
    other.protect(tokens.guard);
    const blob = randomBlob('scope over there', 1000);
    other.put({ repository: 'far/away', blobs: [blob] });
    const path = blobPath('near', blob);
    registry.on({ path }, redirectTo(`${other.origin()}${blobPath('far/away', blob)}`));
    expectWhole(await stage.client.get(path), blob);
    expect(new URLSearchParams(tokens.requests()[0]?.query).getAll('scope')).toEqual([
      'repository:far/away:pull',
    ]);
  });

  test('manifests by tag follow it, and are checked by HEAD the next time', async () => {
    await using other = await startScriptedRegistry({ tls: true });
    const image = craftImage({ seed: 'k8s' });
    other.putImage('images/pause', image, '3.9');
    const path = manifestPath('pause', '3.9');
    registry.on({ path }, redirectTo(`${other.origin()}${manifestPath('images/pause', '3.9')}`));
    const options = { headers: { accept: ANY_MANIFEST } };

    const first = await stage.client.get(path, options);
    expectWhole(first, image.manifest);
    expect(first.headers['docker-content-digest']).toBe(image.manifest.digest);
    expect(first.headers['content-type']).toBe(image.manifest.mediaType);
    other.requests.forget();
    expectWhole(await stage.client.get(path, options), image.manifest);
    expect(other.requests.all.map(({ method }) => method)).toEqual(['HEAD']);
    const head = await stage.client.head(path, options);
    expect(head.headers['docker-content-digest']).toBe(image.manifest.digest);
  });
});
