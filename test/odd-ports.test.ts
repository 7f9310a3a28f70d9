import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Job, run } from './lab/job.ts';
import { startLocalProxy, type LocalProxy } from './support/local-proxy.ts';
import { randomBlob, toBuffer, type Blob } from './upstream/content.ts';
import { basic, basicGuard } from './upstream/guard.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath } from './upstream/paths.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';
import { startStage, type Stage } from './upstream/stage.ts';
import { markedSecret } from './support/marked-secrets.ts';

const PATH = { repository: 'team/app', tag: 'latest' };

const PASSWORD = markedSecret('alice');

describe('two registries on two ports of one host', () => {
  let stage: Stage;
  let other: ScriptedRegistry;
  const images = [1, 2].map((seed) => craftImage({ seed: `port ${seed}`, layers: [10_000] }));

  beforeAll(async () => {
    other = await startScriptedRegistry({ tls: true });
    stage = await startStage({
      registries: [other],
      env: ({ host, port }) => ({
        AUTH_REGISTRIES: `${host}:alice:${PASSWORD}`,
        TAG_RULES: JSON.stringify([{ registry: `localhost:${port}`, fresh: '1h' }]),
        ACCESS_RULES: JSON.stringify([
          { registry: `localhost:${port}`, repository: 'team/closed', access: 'deny' },
          { access: 'allow' },
        ]),
      }),
    });
    for (const [index, registry] of [stage.registry, other].entries()) {
      registry.putImage(PATH.repository, images[index]!, PATH.tag);
      registry.protect(basicGuard({ users: { alice: PASSWORD } }));
    }
  });
  afterAll(async () => {
    await stage.close();
    await other.close();
  });

  const pull = async (registry: ScriptedRegistry, authorization?: string) => {
    using client = stage.newClient(registry);
    return client.get(manifestPath(PATH.repository, PATH.tag), {
      headers: { accept: ANY_MANIFEST },
      ...(authorization === undefined ? {} : { authorization }),
    });
  };

  test('the credentials of one are not sent to the other', async () => {
    expectWhole(await pull(stage.registry), images[0]!.manifest);
    expect((await pull(other)).status).toBe(401);
    expect(other.requests.find({}).map(({ headers }) => headers.authorization)).not.toContain(
      basic('alice', PASSWORD),
    );
  });

  test('the same path is never mixed, and a rule for one is none for the other', async () => {
    for (let round = 0; round < 2; round += 1) {
      expectWhole(await pull(stage.registry), images[0]!.manifest);
      expectWhole(await pull(other, basic('alice', PASSWORD)), images[1]!.manifest);
    }
    expect(cacheStatus(await pull(stage.registry))).toBe('HIT');
    expect(cacheStatus(await pull(other, basic('alice', PASSWORD)))).toBe('REVALIDATED');
    // what is cached for one is unknown to the other
    using client = stage.newClient(other);
    const blob = images[0]!.layers[0]!;
    const foreign = await client.get(blobPath(PATH.repository, blob), {
      authorization: basic('alice', PASSWORD),
    });
    expect(foreign.status).toBe(404);
    const closed = async (registry: ScriptedRegistry) => {
      using asker = stage.newClient(registry);
      return (await asker.get('/v2/team/closed/manifests/1')).status;
    };
    expect([await closed(stage.registry), await closed(other)]).toEqual([403, 401]);
  });

  test('the log tells them apart', async () => {
    await pull(stage.registry);
    await pull(other, basic('alice', PASSWORD));
    for (const { host } of [stage.registry, other]) {
      const line = await stage.proxy.line(
        (candidate) => candidate['host'] === host && candidate['status'] === '200',
      );
      expect(line).toMatchObject({ host, uri: manifestPath(PATH.repository, PATH.tag) });
    }
  });

  test('a plain upstream is reached by TLS through CONNECT and by an absolute URL, and is one registry', async () => {
    const { host } = stage.registry;
    const blob = images[0]!.layers[0]!;
    using client = stage.newClient();
    expectWhole(await client.get(blobPath(PATH.repository, blob)), blob);
    await stage.proxy.stored(blob);
    const plain = request({
      host: '127.0.0.1',
      port: stage.proxy.port,
      path: `http://${host}${blobPath(PATH.repository, blob)}`,
      headers: { host },
    });
    plain.end();
    const [answer] = (await once(plain, 'response')) as [IncomingMessage];
    expect(answer.headers['x-docker-registry-proxy-cache-upstream-status']).toBe('HIT');
    expect((await buffer(answer)).length).toBe(blob.size);
    const gets = stage.registry.requests.count({ method: 'GET', path: blobPath(PATH.repository, blob) });
    expect(gets).toBeLessThanOrEqual(2); // the challenge, and the bytes
  });
});

describe('real registries at ports of their own', () => {
  const jobs: Job[] = [];
  let folder: string;
  let proxy: LocalProxy;
  const hosts = ['localhost:5601', '[::1]:5602'] as const;
  const blob = randomBlob('real, odd', 300_000);
  const twin = randomBlob('real, odd, twin', 300_000);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'breakwater-odd-ports-'));
    for (const [index, host] of hosts.entries()) {
      const file = join(folder, `registry-${index}.yml`);
      const config = {
        version: '0.1',
        storage: { filesystem: { rootdirectory: join(folder, `registry-${index}`) } },
        http: { addr: host.replace('localhost', '127.0.0.1'), secret: 'lab' },
      };
      writeFileSync(file, JSON.stringify(config));
      jobs.push(new Job(['docker-registry', 'serve', file]));
    }
    for (const [index, host] of hosts.entries()) {
      await untilListening(Number(host.split(':').at(-1)), index === 0 ? '127.0.0.1' : '::1');
      await upload(host, index === 0 ? blob : twin);
    }
    proxy = await startLocalProxy(folder, {
      REGISTRIES: hosts.map((host) => `http://${host}`).join(' '),
      ALLOW_LOCAL_ADDRESSES: '127.0.0.0/8 ::1',
    });
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await Promise.all(jobs.map((job) => job.stop('SIGKILL')));
    rmSync(folder, { recursive: true });
  });

  test.each([
    [hosts[0], 'https', blob],
    [hosts[0], 'http', blob],
    [hosts[1], 'https', twin],
    [hosts[1], 'http', twin],
  ])('%s by %s is intercepted and cached', async (host, scheme, content) => {
    const url = `${scheme}://${host}${blobPath('team/app', content)}`;
    const get = async () => {
      const argv = [
        'curl',
        '-gsS',
        '-x',
        `http://127.0.0.1:${proxy.port}`,
        '--noproxy',
        '',
        '--cacert',
        proxy.caFile,
      ];
      const { stdout } = await run([...argv, '-D', '-', '-o', join(folder, 'body'), url]);
      expect(readFileSync(join(folder, 'body')).equals(toBuffer(content))).toBe(true);
      return /^x-docker-registry-proxy-cache-upstream-status: (\w*)/im.exec(stdout.toString())?.[1];
    };
    await get();
    await expect.poll(get).toBe('HIT');
    await proxy.untilAnswered((entry) => entry['host'] === host && entry['upstream_cache_status'] === 'HIT');
  });

  test('what one has, the other has not', async () => {
    const url = `https://${hosts[1]}${blobPath('team/app', blob)}`;
    const argv = [
      'curl',
      '-gsS',
      '-x',
      `http://127.0.0.1:${proxy.port}`,
      '--noproxy',
      '',
      '--cacert',
      proxy.caFile,
    ];
    const { stdout } = await run([...argv, '-o', '/dev/null', '-w', '%{http_code}', url]);
    expect(stdout.toString()).toBe('404');
  });
});

/** Puts a blob into a registry, past any proxy. */
async function upload(host: string, blob: Blob): Promise<void> {
  const begun = await fetch(`http://${host}/v2/team/app/blobs/uploads/`, { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', begun.url);
  location.searchParams.set('digest', blob.digest);
  const { status } = await fetch(location, { method: 'PUT', body: new Uint8Array(toBuffer(blob)) });
  expect(status).toBe(201);
}

async function untilListening(port: number, host: string): Promise<void> {
  for (;;) {
    const socket = connect(port, host);
    try {
      await once(socket, 'connect');
      return;
    } catch {
      await delay(50);
    } finally {
      socket.destroy();
    }
  }
}
