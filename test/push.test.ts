import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { randomBlob, sha256Of, type Blob } from './upstream/content.ts';
import { basic } from './upstream/guard.ts';
import { craftImage, type Image } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath } from './upstream/paths.ts';
import { createPushClient, type PushClient, type Sent } from './upstream/push-client.ts';
import { errorAnswer } from './upstream/reply.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { createTokenService } from './upstream/token-service.ts';
import { acceptUploads, type UploadDesk, type UploadScript } from './upstream/uploads.ts';

const MB = 1024 * 1024;
const WAYS = [
  { way: 'spooled', buffering: 'true' },
  { way: 'streamed', buffering: 'false' },
] as const;

let made = 0;
const newName = (): string => `team/app-${(made += 1)}`;
const newBlob = (size = 300_000): Blob => randomBlob(`pushed ${(made += 1)}`, size);

interface Shop extends Stage {
  readonly desk: UploadDesk;
  readonly pusher: PushClient;
}

async function openShop(env: Readonly<Record<string, string>> = {}): Promise<Shop> {
  const stage = await startStage({
    env: (registry) => ({
      ALLOW_PUSH: 'true',
      AUTH_REGISTRIES: `${registry.host}:robot:marked-secret-robot`,
      ...env,
    }),
  });
  const desk = acceptUploads(stage.registry);
  return { ...stage, desk, pusher: createPushClient(stage.proxy, stage.registry.host) };
}

function tidy({ registry, desk }: Shop): void {
  registry.reset();
  registry.protect(() => undefined);
  desk.script = () => ({});
  desk.location = (path) => path;
}

/** Where an upload goes on, as a client resolves it: the origin that clients see, path and query. */
function next({ registry }: Shop, { headers }: Sent): string {
  const url = new URL(headers.location ?? '', `https://${registry.host}`);
  expect(url.origin).toBe(`https://${registry.host}`);
  return url.pathname + url.search;
}

async function begin(shop: Shop, repository: string, authorization?: string): Promise<string> {
  const sent = await shop.pusher.send('POST', `/v2/${repository}/blobs/uploads/`, login(authorization));
  expect(sent.status).toBe(202);
  return next(shop, sent);
}

const login = (authorization?: string) => (authorization === undefined ? {} : { authorization });

/** As docker, podman and skopeo do it: one PATCH with all the bytes, and a PUT without any. */
async function pushBlob(shop: Shop, repository: string, blob: Blob, authorization?: string): Promise<void> {
  const where = await begin(shop, repository, authorization);
  const patched = await shop.pusher.send('PATCH', where, {
    body: blob,
    chunked: true,
    ...login(authorization),
  });
  expect(patched.status).toBe(202);
  const put = await shop.pusher.send(
    'PUT',
    `${next(shop, patched)}&digest=${blob.digest}`,
    login(authorization),
  );
  expect(put.status).toBe(201);
}

async function pushImage(shop: Shop, repository: string, image: Image, tag: string): Promise<void> {
  for (const blob of [image.config, ...image.layers]) await pushBlob(shop, repository, blob);
  const put = await shop.pusher.send('PUT', manifestPath(repository, tag), {
    body: image.manifest,
    headers: { 'content-type': image.manifest.mediaType },
  });
  expect(put.status).toBe(201);
}

function errorOf({ body }: Sent): {
  code: string;
  message: string;
  detail: { reason: string; mend?: string };
} {
  const { errors } = JSON.parse(body.toString()) as { errors: ReturnType<typeof errorOf>[] };
  return errors[0]!;
}

/** Scripts the uploads with a body only. */
function onPatch(script: UploadScript): UploadDesk['script'] {
  return ({ method }) => (method === 'PATCH' ? script : {});
}

describe.each(WAYS)('a push that is $way', ({ way, buffering }) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({
      PROXY_REQUEST_BUFFERING: buffering,
      PROXY_SEND_TIMEOUT: '1s',
      PROXY_READ_TIMEOUT: '3s',
      CLIENT_BODY_TIMEOUT: '1s',
    });
  });
  beforeEach(() => tidy(shop));
  afterAll(() => shop.close());

  test('arrives byte for byte and is pulled at once', async () => {
    const repository = newName();
    const image = craftImage({ seed: repository, layers: [2 * MB, 1] });
    expect((await shop.client.get(manifestPath(repository, 'v1'))).status).toBe(404);
    await pushImage(shop, repository, image, 'v1');
    expectWhole(await shop.client.get(manifestPath(repository, 'v1')), image.manifest);
    for (const layer of image.layers) expectWhole(await shop.client.get(blobPath(repository, layer)), layer);
  });

  test('a moved tag is seen by everybody at once', async () => {
    const repository = newName();
    const [first, second] = ['one', 'two'].map((seed) => craftImage({ seed: `${repository} ${seed}` }));
    await pushImage(shop, repository, first!, 'latest');
    expectWhole(await shop.client.get(manifestPath(repository, 'latest')), first!.manifest);
    await pushImage(shop, repository, second!, 'latest');
    const others = shop.newClient();
    expectWhole(await others.get(manifestPath(repository, 'latest')), second!.manifest);
  });

  test('in one request, by PUT or by POST', async () => {
    const repository = newName();
    const [one, two] = [newBlob(), newBlob()];
    const put = await shop.pusher.send('PUT', `${await begin(shop, repository)}&digest=${one.digest}`, {
      body: one,
    });
    expect(put.status).toBe(201);
    const post = await shop.pusher.send('POST', `/v2/${repository}/blobs/uploads/?digest=${two.digest}`, {
      body: two,
    });
    expect(post.status).toBe(201);
    for (const blob of [one, two]) expectWhole(await shop.client.get(blobPath(repository, blob)), blob);
  });

  test('in several chunks', async () => {
    const repository = newName();
    const blob = newBlob(3 * 100_000);
    let where = await begin(shop, repository);
    for (let at = 0; at < blob.size; at += 100_000) {
      const chunk = { size: 100_000, bytes: () => blob.bytes(at, at + 100_000) };
      const patched = await shop.pusher.send('PATCH', where, {
        body: chunk,
        headers: { 'content-range': `${at}-${at + 99_999}` },
      });
      expect(patched.status).toBe(202);
      where = next(shop, patched);
    }
    const ranges = shop.desk.received.slice(-3).map(({ record }) => record.headers['content-range']);
    expect(ranges).toEqual(['0-99999', '100000-199999', '200000-299999']);
    expect((await shop.pusher.send('PUT', `${where}&digest=${blob.digest}`)).status).toBe(201);
    expectWhole(await shop.client.get(blobPath(repository, blob)), blob);
  });

  test('a mount reaches upstream with its query', async () => {
    const { digest } = newBlob(1);
    const path = `/v2/${newName()}/blobs/uploads/?mount=${digest}&from=team/base`;
    expect((await shop.pusher.send('POST', path)).status).toBe(201);
    expect(shop.desk.received.at(-1)?.record.query).toBe(`?mount=${digest}&from=team/base`);
  });

  test('a mount asks for nothing that only the credentials of the proxy open, where those are not shared', async () => {
    const own = await openShop({ PRIVATE_IMAGES: 'upstream', PROXY_REQUEST_BUFFERING: buffering });
    const query = `mount=${newBlob(1).digest}&from=team/base`;
    const path = `/v2/${newName()}/blobs/uploads/`;
    expect((await own.pusher.send('POST', `${path}?${query}`)).status).toBe(202);
    const robot = login(basic('robot', 'marked-secret-robot'));
    expect((await own.pusher.send('POST', `${path}?${query}`, robot)).status).toBe(201);
    expect(own.desk.received.map(({ record }) => record.query)).toEqual(['', `?${query}`]);
    await own.close();
  });

  test('an address that would lead past the proxy is made relative, query and all', async () => {
    shop.desk.location = (path) => `${shop.registry.origin()}${path}`;
    const repository = newName();
    const sent = await shop.pusher.send('POST', `/v2/${repository}/blobs/uploads/`);
    expect(sent.headers.location).toMatch(/^\/v2\/.*\?_state=1%2F&x=a\+b$/);
    await pushBlob(shop, repository, newBlob());
  });

  test('an address on another host is left as it is', async () => {
    shop.desk.location = () => 'https://storage.example.com/u/1?signature=a%2Bb%3D';
    const sent = await shop.pusher.send('POST', `/v2/${newName()}/blobs/uploads/`);
    expect(sent.headers.location).toBe('https://storage.example.com/u/1?signature=a%2Bb%3D');
  });

  test('a slow upstream is waited for while it takes bytes', async () => {
    // longer than either timeout, and never a second without a byte
    shop.desk.script = onPatch({ rate: 2 * MB });
    const repository = newName();
    const blob = newBlob(6 * MB);
    await pushBlob(shop, repository, blob);
    expect(shop.desk.received.find(({ bytes }) => bytes === blob.size)?.sha256).toBe(sha256Of(blob));
  });

  test('an upstream that takes nothing is given up', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    shop.desk.script = onPatch({ after: promise });
    const where = await begin(shop, newName());
    const sent = await shop.pusher.send('PATCH', where, { body: newBlob(16 * MB) });
    expect(sent.status).toBe(504);
    expect(errorOf(sent).detail.reason).toBe('UPSTREAM_TIMEOUT');
    resolve();
  });

  test('an upstream that has everything and does not answer is given up', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    shop.desk.script = onPatch({ answerAfter: promise });
    const sent = await shop.pusher.send('PATCH', await begin(shop, newName()), { body: newBlob() });
    expect(sent.status).toBe(504);
    expect(errorOf(sent).detail.reason).toBe('UPSTREAM_TIMEOUT');
    resolve();
  });

  test('a client that sends nothing more is given up', async () => {
    const where = await begin(shop, newName());
    const send = shop.pusher.open('PATCH', where, { body: newBlob(2 * MB), stopAt: MB });
    const sent = await send.done;
    expect(sent.status).toBe(408);
    expect(errorOf(sent).detail.reason).toBe('REQUEST_TIMEOUT');
    send.resume();
  });

  test('an upstream that dies in the middle is an error that says so', async () => {
    shop.desk.script = onPatch({ cutAt: 200_000 });
    const sent = await shop.pusher.send('PATCH', await begin(shop, newName()), { body: newBlob(8 * MB) });
    expect(sent.status).toBe(502);
    expect(errorOf(sent).detail.reason).toBe('UPSTREAM_RESET');
    expect(errorOf(sent).message).toContain(shop.registry.host);
  });

  test('an early refusal reaches a client that still sends', async () => {
    const answer = errorAnswer(413, 'SIZE_INVALID');
    shop.desk.script = onPatch({ answerAt: { bytes: 100_000, answer } });
    const sent = await shop.pusher.send('PATCH', await begin(shop, newName()), { body: newBlob(64 * MB) });
    expect(sent.status).toBe(413);
    expect(errorOf(sent).code).toBe('SIZE_INVALID');
    // what is spooled has all been sent by then
    expect(sent.bytesSent).toBeLessThan(way === 'streamed' ? 64 * MB : Infinity);
  });

  test('a client that leaves cancels it upstream, and nothing is left behind', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    shop.desk.script = onPatch({ answerAfter: promise });
    const where = await begin(shop, newName());
    const whole = way === 'spooled';
    const send = shop.pusher.open('PATCH', where, {
      body: newBlob(2 * MB),
      ...(whole ? {} : { stopAt: MB }),
    });
    const record = await shop.registry.nextRequest({ method: 'PATCH' });
    send.leave();
    await record.closed;
    expect(record.aborted).toBe(true);
    resolve();
    while ((await shop.proxy.files('partial')).length > 0) await delay(5);
  });

  test('a client that waits for leave is let go when upstream is reached, not before', async () => {
    const where = await begin(shop, newName());
    const blob = newBlob(2 * MB);
    const send = shop.pusher.open('PATCH', where, { body: blob, expectContinue: true });
    expect(await send.continued).toBe(true);
    expect((await send.done).status).toBe(202);
    expect(shop.desk.received.at(-1)?.sha256).toBe(sha256Of(blob));
  });

  describe('in the proxy’s name', () => {
    test('with a token that may push, renewed where it is refused in between', async () => {
      const service = createTokenService(shop.registry, { users: { robot: 'marked-secret-robot' } });
      shop.registry.protect(service.guard);
      const repository = newName();
      const where = await begin(shop, repository);
      expect(new URLSearchParams(service.requests().at(-1)?.query).getAll('scope')).toEqual([
        `repository:${repository}:pull,push`,
      ]);
      service.expireAll();
      const blob = newBlob();
      const patched = await shop.pusher.send('PATCH', where, { body: blob });
      // without a spool the bytes are gone, but the client can begin again
      const reason = patched.status === 202 ? undefined : errorOf(patched).detail.reason;
      expect([patched.status, reason]).toEqual(
        way === 'spooled' ? [202, undefined] : [503, 'PUSH_INTERRUPTED'],
      );
      await pushBlob(shop, repository, blob);
      expectWhole(await shop.client.get(blobPath(repository, blob)), blob);
    });

    test('with a token that ended by itself, renewed before the body goes out', async () => {
      const service = createTokenService(shop.registry, {
        users: { robot: 'marked-secret-robot' },
        lifetime: 1,
      });
      shop.registry.protect(service.guard);
      const where = await begin(shop, newName());
      await delay(1000);
      service.expireAll();
      expect((await shop.pusher.send('PATCH', where, { body: newBlob() })).status).toBe(202);
    });

    test('with Basic credentials', async () => {
      shop.registry.protect(({ headers }) =>
        headers.authorization === basic('robot', 'marked-secret-robot')
          ? undefined
          : errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="scripted"' }),
      );
      const repository = newName();
      await pushImage(shop, repository, craftImage({ seed: repository }), 'v1');
      expect(shop.desk.received.at(-1)?.record).toMatchObject({
        status: 201,
        path: manifestPath(repository, 'v1'),
      });
    });

    test('a mount asks for both repositories', async () => {
      const service = createTokenService(shop.registry, { users: { robot: 'marked-secret-robot' } });
      shop.registry.protect(service.guard);
      const repository = newName();
      const path = `/v2/${repository}/blobs/uploads/?mount=${newBlob(1).digest}&from=team/base`;
      expect((await shop.pusher.send('POST', path)).status).toBe(201);
      expect(new URLSearchParams(service.requests().at(-1)?.query).getAll('scope')).toEqual([
        `repository:${repository}:pull,push`,
        'repository:team/base:pull',
      ]);
    });
  });
});

describe('a streamed push', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({ PROXY_REQUEST_BUFFERING: 'false' });
  });
  beforeEach(() => tidy(shop));
  afterAll(() => shop.close());

  test('goes no faster than upstream takes it, and is held in no memory', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    shop.desk.script = onPatch({ after: promise });
    const before = shop.proxy.rss().now;
    const blob = newBlob(256 * MB);
    const send = shop.pusher.open('PATCH', await begin(shop, newName()), { body: blob });
    await shop.registry.nextRequest({ method: 'PATCH' });
    let sent = -1;
    while (sent !== send.bytesSent) {
      sent = send.bytesSent;
      await delay(300);
    }
    expect(sent).toBeLessThan(64 * MB);
    expect(shop.proxy.rss().now - before).toBeLessThan(64 * MB);
    send.leave();
    resolve();
  });

  test('is not kept', async () => {
    const repository = newName();
    const blob = newBlob();
    await pushBlob(shop, repository, blob);
    expect(await shop.proxy.files('blobs')).toEqual([]);
  });
});

describe('a spooled push', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({ CACHE_MAX_SIZE: '64m' });
  });
  beforeEach(() => tidy(shop));
  afterAll(() => shop.close());

  test('is kept: what is pulled afterwards costs a question, and no bytes', async () => {
    const repository = newName();
    const image = craftImage({ seed: repository, layers: [MB] });
    await pushImage(shop, repository, image, 'v1');
    const parts = [image.config, ...image.layers];
    for (const part of [...parts, image.manifest]) await shop.proxy.stored(part);
    shop.registry.requests.forget();
    for (const part of parts) expectWhole(await shop.client.get(blobPath(repository, part)), part);
    const asked = shop.registry.requests.all.map(({ method, path }) => `${method} ${path}`);
    expect(asked.filter((line) => !line.startsWith('HEAD'))).toEqual([]);
    expect(cacheStatus(await shop.client.get(blobPath(repository, image.config)))).toBe('HIT');
    const manifest = await shop.client.get(manifestPath(repository, image.manifest));
    expectWhole(manifest, image.manifest);
    expect(manifest.headers['content-type']).toBe(image.manifest.mediaType);
  });

  test('is nobody’s to pull whom upstream does not let', async () => {
    const repository = newName();
    const blob = newBlob();
    await pushBlob(shop, repository, blob);
    await shop.proxy.stored(blob);
    shop.registry.protect(() => errorAnswer(403, 'DENIED'));
    expect((await shop.client.get(blobPath(repository, blob))).status).toBe(403);
    expect((await shop.client.get(blobPath(newName(), blob))).status).toBe(403);
  });

  test('is not kept where upstream refuses it, and leaves nothing behind', async () => {
    const repository = newName();
    const blob = newBlob();
    const path = `${await begin(shop, repository)}&digest=${newBlob(1).digest}`;
    expect((await shop.pusher.send('PUT', path, { body: blob })).status).toBe(400);
    while ((await shop.proxy.files('partial')).length > 0) await delay(5);
    expect(await shop.proxy.files('blobs')).not.toContain(blob.digest.slice('sha256:'.length));
  });

  test('announces its length upstream, where the client did not', async () => {
    const where = await begin(shop, newName());
    const patched = await shop.pusher.send('PATCH', where, { body: newBlob(), chunked: true });
    expect(shop.desk.received.at(-1)?.record.headers).toMatchObject({ 'content-length': '300000' });
    await shop.pusher.send('DELETE', next(shop, patched));
  });

  test.each([true, false])('that finds no room goes on as it comes (chunked: %s)', async (chunked) => {
    const repository = newName();
    const blob = newBlob(80 * MB);
    const where = await begin(shop, repository);
    const patched = await shop.pusher.send('PATCH', where, { body: blob, chunked });
    expect(patched.status).toBe(202);
    expect(shop.desk.received.at(-1)?.sha256).toBe(sha256Of(blob));
    while ((await shop.proxy.files('partial')).length > 0) await delay(5);
  });

  test('is sent again where the connection dies under a manifest', async () => {
    const repository = newName();
    const { manifest } = craftImage({ seed: repository });
    let cuts = 1;
    shop.desk.script = () => (cuts-- > 0 ? { cutAt: 1 } : {});
    const put = await shop.pusher.send('PUT', manifestPath(repository, 'v1'), {
      body: manifest,
      headers: { 'content-type': manifest.mediaType },
    });
    expect(put.status).toBe(201);
    expect(shop.desk.received.at(-1)?.sha256).toBe(sha256Of(manifest));
  });

  test('what waits for its name when the proxy stops is deleted', async () => {
    const own = await openShop();
    try {
      await own.pusher.send('PATCH', await begin(own, newName()), { body: newBlob() });
      expect(await own.proxy.files('partial')).toHaveLength(1);
      expect(await own.proxy.stop()).toBe(0);
      expect(await own.proxy.files('partial')).toEqual([]);
    } finally {
      await own.close();
    }
  });

  test('an upload that is given up frees its room', async () => {
    const where = await begin(shop, newName());
    const patched = await shop.pusher.send('PATCH', where, { body: newBlob() });
    expect(await shop.proxy.files('partial')).toHaveLength(1);
    await shop.pusher.send('DELETE', next(shop, patched));
    while ((await shop.proxy.files('partial')).length > 0) await delay(5);
  });
});

describe('what an upload or a deletion changes', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({ TAG_CHECK_INTERVAL: '1h' });
  });
  beforeEach(() => tidy(shop));
  afterAll(() => shop.close());

  test.each(['digest', 'tag'] as const)('a manifest deleted by %s is gone at once', async (by) => {
    const repository = newName();
    const image = craftImage({ seed: repository });
    await pushImage(shop, repository, image, 'v1');
    const paths = [manifestPath(repository, 'v1'), manifestPath(repository, image.manifest)];
    for (const path of paths) expectWhole(await shop.client.get(path), image.manifest);
    const gone = by === 'tag' ? paths.slice(0, 1) : paths;
    shop.registry.on({ path: new RegExp(`^/v2/${repository}/manifests/`) }, ({ path }) =>
      gone.includes(path) ? { status: 404 } : {},
    );
    const target = manifestPath(repository, by === 'tag' ? 'v1' : image.manifest);
    expect((await shop.pusher.send('DELETE', target)).status).toBe(202);
    for (const path of gone) expect((await shop.client.get(path)).status).toBe(404);
  });

  test('a blob that upstream has lost is not said to be there', async () => {
    const repository = newName();
    const blob = newBlob();
    shop.registry.put({ repository, blobs: [blob] });
    const path = blobPath(repository, blob);
    expectWhole(await shop.client.get(path), blob);
    expect((await shop.client.head(path)).status).toBe(200);
    shop.registry.on({ path }, { status: 404 });
    expect((await shop.client.head(path)).status).toBe(404);
  });

  test('in an outage the cache says what is there', async () => {
    const repository = newName();
    const blob = newBlob();
    shop.registry.put({ repository, blobs: [blob] });
    const path = blobPath(repository, blob);
    expectWhole(await shop.client.get(path), blob);
    await shop.proxy.stored(blob);
    shop.registry.on({ path }, { status: 503 });
    expect((await shop.client.head(path)).status).toBe(200);
  });
});

describe('with ALLOW_PUSH_WITH_OWN_AUTH', () => {
  let shop: Shop;
  const alice = basic('alice', 'marked-secret-wonder');
  beforeAll(async () => {
    shop = await openShop({ ALLOW_PUSH: 'false', ALLOW_PUSH_WITH_OWN_AUTH: 'true' });
  });
  afterEach(() => tidy(shop));
  afterAll(() => shop.close());

  const wantBasic = (): void =>
    shop.registry.protect(({ headers }) =>
      headers.authorization === alice || headers.authorization === basic('robot', 'marked-secret-robot')
        ? undefined
        : errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="scripted"' }),
    );

  test('a client pushes with what it has', async () => {
    wantBasic();
    const repository = newName();
    const blob = newBlob();
    await pushBlob(shop, repository, blob, alice);
    expect(shop.desk.received.map(({ record }) => record.headers.authorization)).toEqual([
      alice,
      alice,
      alice,
    ]);
  });

  test('a client without is asked for them, and the proxy’s are not used', async () => {
    wantBasic();
    const before = shop.desk.received.length;
    const sent = await shop.pusher.send('POST', `/v2/${newName()}/blobs/uploads/`);
    expect(sent.status).toBe(401);
    expect(sent.headers['www-authenticate']).toBe('Basic realm="scripted"');
    expect(shop.desk.received).toHaveLength(before);
  });

  test('where the registry asks for none, it is told how to go on', async () => {
    const before = shop.desk.received.length;
    const sent = await shop.pusher.send('POST', `/v2/${newName()}/blobs/uploads/`);
    expect(sent.status).toBe(405);
    expect(errorOf(sent).detail).toMatchObject({ reason: 'PUSH_DISABLED' });
    expect(errorOf(sent).detail.mend).toContain('Log in');
    expect(shop.desk.received).toHaveLength(before);
  });
});

test('a client that waits for leave gets none while the registry cannot be reached', async () => {
  const shop = await openShop();
  try {
    await shop.registry.close();
    const path = `/v2/${newName()}/blobs/uploads/1`;
    const send = shop.pusher.open('PATCH', path, { body: newBlob(), expectContinue: true });
    expect(await send.continued).toBe(false);
    const sent = await send.done;
    expect(sent.status).toBe(502);
    expect(errorOf(sent).detail.reason).toBe('UPSTREAM_CONNECT');
  } finally {
    await shop.close();
  }
});

describe('where pushing is off', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({ ALLOW_PUSH: 'false' });
  });
  afterAll(() => shop.close());

  test('a large body is refused before it is sent', async () => {
    const path = `/v2/${newName()}/blobs/uploads/`;
    const sent = await shop.pusher.send('POST', path, { body: newBlob(64 * MB) });
    expect(sent.status).toBe(405);
    expect(errorOf(sent).detail.mend).toContain('ALLOW_PUSH=true');
    expect(sent.bytesSent).toBeLessThan(64 * MB);
    expect(shop.desk.received).toEqual([]);
  });

  test('a client that waits for leave gets none', async () => {
    const send = shop.pusher.open('POST', `/v2/${newName()}/blobs/uploads/`, {
      body: newBlob(),
      expectContinue: true,
    });
    expect(await send.continued).toBe(false);
    expect((await send.done).status).toBe(405);
  });

  test('a token on the proxy’s credentials can but pull', async () => {
    const service = createTokenService(shop.registry, { users: { robot: 'marked-secret-robot' } });
    const scopes = 'scope=repository:team/a:pull,push&scope=repository:team/b:delete';
    expect((await shop.client.get(`${service.path}?service=scripted&${scopes}`)).status).toBe(200);
    const [asked] = service.requests();
    expect(asked?.headers.authorization).toBe(basic('robot', 'marked-secret-robot'));
    expect(new URLSearchParams(asked?.query).getAll('scope')).toEqual(['repository:team/a:pull']);
    // what a user asks for is that user's own business
    const own = { authorization: basic('robot', 'marked-secret-robot') };
    await shop.client.get(`${service.path}?service=scripted&${scopes}`, own);
    expect(service.requests()[1]?.query).toBe(`?service=scripted&${scopes}`);
  });

  test('nothing is changed outside of /v2/ either', async () => {
    const sent = await shop.pusher.send('PUT', '/artifacts-uploads/1', { body: newBlob() });
    expect(sent.status).toBe(405);
  });
});
