import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { randomBlob, toBuffer, type Blob } from './upstream/content.ts';
import { blobPath, cacheStatus, expectWhole, untilHit } from './upstream/paths.ts';
import { wrongObjects } from './upstream/sound-store.ts';
import { startStage, type Stage } from './upstream/stage.ts';

const SIZE = 1_000_000;
/** Where upstream stops until the test lets it go on. */
const HELD_AT = 400_000;

interface Scene {
  readonly stage: Stage;
  readonly blob: Blob;
  readonly path: string;
}

async function sceneOf(fillAbandoned: 'finish' | 'keep'): Promise<Scene> {
  const stage = await startStage({ env: { FILL_ABANDONED: fillAbandoned } });
  const blob = randomBlob(`unattended ${fillAbandoned}`, SIZE);
  stage.registry.put({ repository: 'a', blobs: [blob] });
  return { stage, blob, path: blobPath('a', blob) };
}

/** Waits until the proxy knows that a client has left. */
async function noticed({ stage }: Scene, clients: number): Promise<void> {
  for (let left = clients; left > 0; left -= 1)
    await stage.proxy.line(({ complete }) => complete === 'false');
}

const total = ({ stage }: Scene): number =>
  stage.registry.requests.all.reduce((sum, { bytesSent }) => sum + bytesSent, 0);

describe('a fill that all clients have left (issue 3.4)', () => {
  test('is finished where that is the policy', async () => {
    const scene = await sceneOf('finish');
    await using stage = scene.stage;
    const { registry, client, proxy } = stage;
    const held = registry.hold({ path: scene.path }, HELD_AT);
    const pulls = [1, 2, 3].map(() => client.open(scene.path));
    for (const pull of pulls) await pull.reached(100_000);
    for (const pull of pulls) pull.leave();
    await noticed(scene, pulls.length);
    held.release();
    await proxy.stored(scene.blob);
    const again = await untilHit(() => client.get(scene.path));
    expectWhole(again, scene.blob);
    expect(cacheStatus(again)).toBe('HIT');
    expect(registry.requests.find().map(({ aborted }) => aborted)).toEqual([false]);
    expect(total(scene)).toBe(SIZE);
  });

  test('is stopped where that is the policy, and gone on with by Range', async () => {
    const scene = await sceneOf('keep');
    await using stage = scene.stage;
    const { registry, client, proxy } = stage;
    registry.hold({ path: scene.path }, HELD_AT);
    const pulls = [1, 2].map(() => client.open(scene.path));
    for (const pull of pulls) await pull.reached(HELD_AT);
    pulls[0]?.leave();
    await noticed(scene, 1);
    expect(registry.requests.all[0]?.aborted).toBe(false);
    pulls[1]?.leave();
    await registry.requests.all[0]?.closed;
    expect(registry.requests.all[0]?.aborted).toBe(true);
    expect(await proxy.files('partial')).toHaveLength(1);

    expectWhole(await client.get(scene.path), scene.blob);
    expect(registry.requests.all.map(({ headers }) => headers.range)).toEqual([
      undefined,
      `bytes=${HELD_AT}-`,
    ]);
    expect(total(scene)).toBe(SIZE);
    await proxy.stored(scene.blob);
    expect(await proxy.files('partial')).toEqual([]);
    expect(cacheStatus(await untilHit(() => client.get(scene.path)))).toBe('HIT');
  });

  test('that is kept is still there after a restart in good order', async () => {
    const scene = await sceneOf('keep');
    await using stage = scene.stage;
    const { registry, client, proxy } = stage;
    registry.hold({ path: scene.path }, HELD_AT);
    const pull = client.open(scene.path);
    await pull.reached(HELD_AT);
    pull.leave();
    await registry.requests.all[0]?.closed;
    expect(await proxy.stop()).toBe(0);
    await proxy.start();
    expectWhole(await stage.newClient().get(scene.path), scene.blob);
    expect(total(scene)).toBe(SIZE);
  });

  test('goes on for one who comes before it is stopped', async () => {
    const scene = await sceneOf('keep');
    await using stage = scene.stage;
    const { registry, client } = stage;
    const held = registry.hold({ path: scene.path }, HELD_AT);
    const first = client.open(scene.path);
    await first.reached(HELD_AT);
    const second = client.open(scene.path);
    await second.firstByte;
    first.leave();
    await noticed(scene, 1);
    held.release();
    expectWhole(await second.done, scene.blob);
    expect(registry.requests.count()).toBe(1);
  });
});

describe('a fill that a SIGKILL ended', () => {
  test('is gone on with by Range from what is on the disk', async () => {
    const scene = await sceneOf('finish');
    await using stage = scene.stage;
    const { registry, client, proxy } = stage;
    registry.hold({ path: scene.path }, HELD_AT);
    const pull = client.open(scene.path);
    await pull.reached(HELD_AT);
    await proxy.kill();
    expect((await pull.done).complete).toBe(false);
    const [name = ''] = await proxy.files('partial');
    expect((await stat(join(proxy.cacheDir, 'partial', name))).size).toBe(HELD_AT);
    await proxy.start();

    expectWhole(await stage.newClient().get(scene.path), scene.blob);
    expect(registry.requests.all.map(({ headers }) => headers.range)).toEqual([
      undefined,
      `bytes=${HELD_AT}-`,
    ]);
    await proxy.stored(scene.blob);
    expect(await proxy.files('partial')).toEqual([]);
    expect(await wrongObjects(proxy.cacheDir)).toEqual([]);
  });

  test('of which every byte was there is asked for no byte again', async () => {
    const scene = await sceneOf('finish');
    await using stage = scene.stage;
    const { registry, client, proxy } = stage;
    registry.hold({ path: scene.path }, HELD_AT);
    const pull = client.open(scene.path);
    await pull.reached(HELD_AT);
    await proxy.kill();
    await pull.done;
    const [name = ''] = await proxy.files('partial');
    await writeFile(join(proxy.cacheDir, 'partial', name), toBuffer(scene.blob));
    await proxy.start();
    expectWhole(await stage.newClient().get(scene.path), scene.blob);
    expect(registry.requests.all.map(({ headers }) => headers.range)).toEqual([undefined, `bytes=${SIZE}-`]);
    await proxy.stored(scene.blob);
    expect(await wrongObjects(proxy.cacheDir)).toEqual([]);
  });

  test('with wrong bytes in what is left is fetched anew, and they are not stored', async () => {
    const scene = await sceneOf('finish');
    await using stage = scene.stage;
    const { registry, client, proxy } = stage;
    registry.hold({ path: scene.path }, HELD_AT);
    await client.open(scene.path).reached(HELD_AT);
    await proxy.kill();
    const [name = ''] = await proxy.files('partial');
    const file = join(proxy.cacheDir, 'partial', name);
    const bytes = await readFile(file);
    expect(bytes).toEqual(toBuffer(scene.blob, 0, HELD_AT));
    bytes.fill(0, 1000, 2000);
    await writeFile(file, bytes);
    await proxy.start();

    const next = stage.newClient();
    const first = await next.get(scene.path);
    expect(first.complete && first.sha256 !== scene.blob.digest.slice('sha256:'.length)).toBe(false);
    expectWhole(await next.get(scene.path), scene.blob);
    expect(await wrongObjects(proxy.cacheDir)).toEqual([]);
  });
});
