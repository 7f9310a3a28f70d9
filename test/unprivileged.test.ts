import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mountMemory } from './support/disks.ts';
import { startLocalProxy, tryToServe, type LocalProxy } from './support/local-proxy.ts';
import { asUser, withReadOnlyRoot } from './support/unprivileged.ts';
import { randomBlob, type Blob } from './upstream/content.ts';
import { ANY_MANIFEST, craftImage } from './upstream/image.ts';
import { blobPath, cacheStatus, expectWhole, manifestPath } from './upstream/paths.ts';
import { createPullClient } from './upstream/pull-client.ts';
import { startScriptedRegistry, type ScriptedRegistry } from './upstream/scripted-registry.ts';

const UID = 12_345;
const REPOSITORY = 'a/b';
const IMAGE = craftImage({ seed: 'unprivileged', layers: [50_000, 200_000] });

let folder: string;
let cache: string;
let ca: string;
let registry: ScriptedRegistry;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-unprivileged-'));
  await chmod(folder, 0o755);
  cache = join(folder, 'cache');
  ca = join(folder, 'ca');
  registry = await startScriptedRegistry({ tls: false });
  registry.putImage(REPOSITORY, IMAGE, 'latest');
});

afterEach(async () => {
  await registry.close();
  rmSync(folder, { recursive: true });
});

const settings = () => ({
  REGISTRIES: `http://${registry.host}`,
  DISABLE_IPV6: 'true',
  TAG_CHECK_INTERVAL: '0',
  CACHE_DIR: cache,
  CA_DIR: ca,
});

/** Runs a proxy, and ends it in order. */
async function running(before: readonly string[], use: (proxy: LocalProxy) => Promise<void>): Promise<void> {
  await using proxy = await startLocalProxy(folder, settings(), before);
  await use(proxy);
  proxy.signal('SIGTERM');
  expect(await proxy.exited).toMatchObject({ code: 0 });
}

async function pull(proxy: LocalProxy, blob: Blob): Promise<string | undefined> {
  using client = createPullClient(
    { port: proxy.port, ca: readFileSync(proxy.caFile, 'utf8') },
    registry.host,
  );
  const pulled = await client.get(blobPath(REPOSITORY, blob));
  expectWhole(pulled, blob);
  return cacheStatus(pulled);
}

/** The cache statuses of an image: its tag, then its blobs. */
async function pullImage(proxy: LocalProxy): Promise<readonly (string | undefined)[]> {
  using client = createPullClient(
    { port: proxy.port, ca: readFileSync(proxy.caFile, 'utf8') },
    registry.host,
  );
  const tagged = await client.get(manifestPath(REPOSITORY, 'latest'), { headers: { accept: ANY_MANIFEST } });
  expectWhole(tagged, IMAGE.manifest);
  const statuses = [cacheStatus(tagged)];
  for (const blob of [IMAGE.config, ...IMAGE.layers]) statuses.push(await pull(proxy, blob));
  return statuses;
}

/** Pulls the image as root, and gives the folder of the CA away. */
async function cacheOfRoot(): Promise<void> {
  await running([], async (proxy) => {
    await pullImage(proxy);
    await expect.poll(() => pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
  });
  execFileSync('chown', ['-R', `${UID}:${UID}`, ca]);
}

/** Every file below a folder, with its owner, size and time of change. */
async function listing(root: string): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true });
  return entries.sort().map((name) => {
    const { uid, size, mtimeMs } = statSync(join(root, name));
    return `${name} ${uid} ${size} ${mtimeMs}`;
  });
}

const newBlob = (seed: string): Blob => {
  const blob = randomBlob(seed, 100_000);
  registry.put({ repository: REPOSITORY, blobs: [blob] });
  return blob;
};

const said = (proxy: LocalProxy, words: string): string | undefined =>
  proxy.log.find((line) => line.includes(words));

describe('a user without a name, without capabilities, on a read-only root', () => {
  test('serves and stores; nothing but the two folders is written', async () => {
    for (const path of [cache, ca]) {
      await mkdir(path);
      await chown(path, UID, UID);
    }
    const before = [...withReadOnlyRoot([cache, ca]), ...asUser(UID)];
    await running(before, async (proxy) => {
      await pullImage(proxy);
      await expect.poll(() => pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
      expect(said(proxy, 'degraded')).toBeUndefined();
    });
    const files = await listing(folder);
    expect(files.filter((line) => !line.includes(` ${UID} `))).toEqual([]);
    // and finds it all again
    await running(before, async (proxy) => {
      expect(await pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
    });
  });

  test('and with any uid of group 0, as OpenShift gives it, in folders of that group', async () => {
    for (const path of [cache, ca]) {
      await mkdir(path);
      await chmod(path, 0o2775);
    }
    await running([...withReadOnlyRoot([cache, ca]), ...asUser(1_000_650_000, 0)], async (proxy) => {
      await pullImage(proxy);
      await expect.poll(() => pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
    });
  });
});

describe('a cache of another user', () => {
  test('is served as it is, the log says what to chown, and doing so mends it', async () => {
    await cacheOfRoot();
    const before = await listing(cache);
    let mend = '';
    await running(asUser(UID), async (proxy) => {
      expect(await pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
      const blob = newBlob('passes by');
      for (let round = 0; round < 3; round += 1) expect(await pull(proxy, blob)).toBe('MISS');
      const line = JSON.parse(said(proxy, 'cache is read-only') ?? '{}') as Record<string, string>;
      expect(line).toMatchObject({
        level: 'error',
        reason: expect.stringContaining(`belongs to uid 0, and the proxy runs as uid ${UID}`),
      });
      mend = line['mend'] ?? '';
      expect(said(proxy, '  cache ')).toMatch(/read-only$/);
      expect(said(proxy, 'recovered')).toBeUndefined();
    });
    expect(await listing(cache)).toEqual(before);
    const [command = ''] = mend.split(', ');
    expect(command).toBe(`chown -R ${UID}:${UID} ${cache}`);
    execFileSync('sh', ['-c', command]);
    await running(asUser(UID), async (proxy) => {
      expect(await pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
      const blob = newBlob('is stored');
      await pull(proxy, blob);
      await expect.poll(() => pull(proxy, blob)).toBe('HIT');
      expect(said(proxy, 'read-only')).toBeUndefined();
    });
  });

  test('is served in an outage too, and a moved tag is seen while it is served', async () => {
    await cacheOfRoot();
    await running(asUser(UID), async (proxy) => {
      const moved = craftImage({ seed: 'moved', layers: [1000] });
      registry.putImage(REPOSITORY, moved, 'latest');
      using client = createPullClient(
        { port: proxy.port, ca: readFileSync(proxy.caFile, 'utf8') },
        registry.host,
      );
      const headers = { accept: ANY_MANIFEST };
      expectWhole(await client.get(manifestPath(REPOSITORY, 'latest'), { headers }), moved.manifest);
      await registry.close();
      for (const blob of IMAGE.layers) expect(await pull(proxy, blob)).toBe('HIT');
    });
    registry = await startScriptedRegistry({ tls: false });
  });

  test('where only its folder was given away, is served as well', async () => {
    await cacheOfRoot();
    await chown(cache, UID, UID);
    await running(asUser(UID), async (proxy) => {
      expect(await pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
      expect(said(proxy, 'cache is read-only')).toContain(`${cache}/`);
    });
  });

  test('and what a crash left in it, is served as far as its index knows, and asked for otherwise', async () => {
    await using crashed = await startLocalProxy(folder, settings());
    await pullImage(crashed);
    await expect.poll(() => pullImage(crashed)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
    await writeFile(join(cache, 'partial', 'stray'), 'left over');
    crashed.signal('SIGKILL');
    await crashed.exited;
    execFileSync('chown', ['-R', `${UID}:${UID}`, ca]);
    const before = await listing(cache);
    await running(asUser(UID), async (proxy) => {
      await pullImage(proxy);
      await pullImage(proxy);
      for (const blob of IMAGE.layers) expect(await pull(proxy, blob)).toBe('HIT');
    });
    expect(await listing(cache)).toEqual(before);
  });

  test('that another process uses is left alone', async () => {
    await running([], async (proxy) => {
      await pullImage(proxy);
      execFileSync('chown', ['-R', `${UID}:${UID}`, ca]);
      const { code, stderr } = await tryToServe({ ...settings(), LISTEN: '127.0.0.1:0' }, asUser(UID));
      expect(code).not.toBe(0);
      expect(stderr).toContain('another process uses the cache');
    });
  });

  test.each(['closed', 'empty'])('that is %s ends the start with what to chown', async (kind) => {
    if (kind === 'closed') {
      await cacheOfRoot();
      await chmod(cache, 0o700);
    } else await mkdir(cache);
    await mkdir(ca, { recursive: true });
    await chown(ca, UID, UID);
    const { code, stderr } = await tryToServe(settings(), asUser(UID));
    expect(code).not.toBe(0);
    expect(stderr).toContain(`CACHE_DIR ${cache}`);
    expect(stderr).toContain(`\nchown -R ${UID}:${UID} ${cache}, or run the proxy as uid 0`);
  });

  test('that is mounted read-only is served too, and the log says that it is the mount', async () => {
    await cacheOfRoot();
    await running([...withReadOnlyRoot([ca])], async (proxy) => {
      expect(await pullImage(proxy)).toEqual(['REVALIDATED', 'HIT', 'HIT', 'HIT']);
      expect(said(proxy, 'cache is read-only')).toContain('its file system is mounted read-only');
    });
  });
});

describe('a CA of another user', () => {
  test.each([
    ['folder', 0o700, 'ca.crt', ''],
    ['key', 0o755, 'ca.key', 'ca.key'],
  ])('whose %s may not be read ends the start with what to chown', async (_, mode, unread, given) => {
    await running([], async () => undefined);
    await chmod(ca, mode);
    const { code, stderr } = await tryToServe(settings(), asUser(UID));
    expect(code).not.toBe(0);
    expect(stderr).toContain(`${join(ca, unread)} cannot be read: permission denied`);
    const [, command = ''] = /\((chown .*?)\)/.exec(stderr) ?? [];
    expect(command).toBe(`chown -R ${UID}:${UID} ${join(ca, given)}`);
    execFileSync('sh', ['-c', command]);
    execFileSync('chown', ['-R', `${UID}:${UID}`, cache]);
    await running(asUser(UID), async (proxy) => void (await pullImage(proxy)));
  });

  test('whose files may be read is used, and not written to', async () => {
    await running([], async () => undefined);
    await chmod(ca, 0o755);
    await chmod(join(ca, 'ca.key'), 0o644);
    execFileSync('chown', ['-R', `${UID}:${UID}`, cache]);
    const before = await listing(ca);
    await running(asUser(UID), async (proxy) => void (await pullImage(proxy)));
    expect(await listing(ca)).toEqual(before);
  });

  test('that is to be made where nothing may be written ends the start with what to chown', async () => {
    await using _disk = await mountMemory(ca, 'size=1m,mode=755');
    const { code, stderr } = await tryToServe(settings(), asUser(UID));
    expect(code).not.toBe(0);
    expect(stderr).toContain(`chown -R ${UID}:${UID} ${ca}`);
  });
});
