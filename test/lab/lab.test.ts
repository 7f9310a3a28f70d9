import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { cgroupParent, liveLabs, sweep } from './folder.ts';
import { startLab, type Lab } from './lab.ts';
import { ALICE, BOB, WRONG } from './users.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await startLab();
});

afterAll(async () => {
  await lab?.down();
});

describe('registries', () => {
  test('a pull from the hub shows the token flow and the redirect to the CDN', async () => {
    await lab.forget();
    const pulled = await lab.clients().skopeo.pull('docker.io/library/multi:1', { platform: 'linux/arm64' });

    const { multi } = lab.images;
    const chosen = multi.manifests.find(({ platform }) => platform === 'linux/arm64');
    expect(pulled.digest).toBe(chosen?.digest);
    const statuses = (await lab.hub.requests()).map(({ path, status }) => [path.split('/').at(-2), status]);
    expect(statuses.filter(([kind]) => kind === 'manifests')).toEqual([
      ['manifests', 200],
      ['manifests', 200],
    ]);
    const blobs = chosen === undefined ? 0 : chosen.layers.length + 1;
    expect(statuses.filter(([kind]) => kind === 'blobs')).toEqual(
      Array.from({ length: blobs }, () => ['blobs', 307]),
    );
    expect(await lab.tokens.requests()).toMatchObject([
      { method: 'GET', status: 200, user: null, scopes: ['repository:library/multi:pull'] },
    ]);
    const cdn = await lab.cdn.requests();
    expect(cdn).toHaveLength(blobs);
    expect(cdn.every(({ authorization, status }) => !authorization && status === 200)).toBe(true);
  });

  test('requests are counted until they are forgotten', async () => {
    await lab.forget();
    const { curl } = lab.clients();
    for (let n = 0; n < 3; n++) await curl.request('https://ghcr.io/v2/');
    expect(await lab.ghcr.requests()).toMatchObject(
      Array.from({ length: 3 }, () => ({ method: 'GET', path: '/v2/', status: 200 })),
    );
    await lab.ghcr.forget();
    expect(await lab.ghcr.requests()).toEqual([]);
  });

  test('the same path and tag is another image on another registry', async () => {
    const { quayApp, ghcrApp } = lab.images;
    const blobs = [quayApp, ghcrApp].map(({ manifests }) => manifests[0]?.layers[1]?.digest);
    expect(new Set(blobs).size).toBe(2);
    const { skopeo } = lab.clients();
    expect((await skopeo.pull(quayApp.ref, { credentials: ALICE })).digest).toBe(quayApp.digest);
    expect((await skopeo.pull(ghcrApp.ref)).digest).toBe(ghcrApp.digest);
    await expect(skopeo.pull(quayApp.ref)).rejects.toThrow(/unauthorized/);
  });

  test('only its owner pulls a private image', async () => {
    const { skopeo } = lab.clients();
    const { secret } = lab.images;
    expect((await skopeo.pull(secret.ref, { credentials: ALICE })).digest).toBe(secret.digest);
    await expect(skopeo.pull(secret.ref)).rejects.toThrow(/denied/);
    await expect(skopeo.pull(secret.ref, { credentials: BOB })).rejects.toThrow(/denied/);
    await expect(skopeo.pull(secret.ref, { credentials: WRONG })).rejects.toThrow(/invalid username/);
  });

  test('a registry can go down and come back with what it held', async () => {
    const { curl, skopeo } = lab.clients();
    await lab.ghcr.stop();
    await expect(curl.request('https://ghcr.io/v2/')).rejects.toThrow(/connect/i);
    await lab.ghcr.start();
    expect((await skopeo.pull(lab.images.ghcrApp.ref)).digest).toBe(lab.images.ghcrApp.digest);
  });

  test('upstream names can stop to resolve; unknown ones never do', async () => {
    const { curl } = lab.clients();
    await lab.setNames(false);
    await expect(curl.request('https://ghcr.io/v2/')).rejects.toThrow(/resolve host/);
    await lab.setNames(true);
    expect((await curl.request('https://ghcr.io/v2/')).status).toBe(200);
    await expect(curl.request('https://nowhere.test/')).rejects.toThrow(/resolve host/);
    await expect(lab.clientSpace.run(['getent', 'hosts', 'ghcr.io'])).rejects.toThrow(/exit code 2/);
  });

  test('the CDN answers ranges', async () => {
    const layer = lab.images.multi.manifests[0]?.layers[1]?.digest.slice('sha256:'.length) ?? '';
    const url = `https://${lab.cdn.host}/docker/registry/v2/blobs/sha256/${layer.slice(0, 2)}/${layer}/data`;
    const { curl } = lab.clients();
    const whole = await curl.request(url);
    const part = await curl.request(url, { headers: { range: 'bytes=10-19' } });
    expect(part.status).toBe(206);
    expect(part.body).toEqual(whole.body.subarray(10, 20));
    expect((await curl.request(url, { headers: { range: `bytes=${whole.body.length}-` } })).status).toBe(416);
  });
});

describe('clients', () => {
  test.each(['podman', 'docker', 'containerd'] as const)('%s pulls, runs and removes', async (name) => {
    const clients = lab.clients();
    const client = clients[name];
    const { multi, multiDocker } = lab.images;
    expect((await client.pull(multi.ref)).digest).toBe(multi.digest);
    expect((await client.pull(multiDocker.ref)).digest).toBe(multiDocker.digest);
    expect(await client.run(multi.ref)).toBe('hello from multi');
    expect(await client.run(multi.ref, ['/bin/sh', '-c', 'wc -c < /data/2'])).toBe('8000000');
    await client.remove(multi.ref);
    await expect(client.run(multi.ref)).rejects.toThrow(multi.ref);
    await clients.close();
  });

  test('an authority that did not sign is not believed', async () => {
    const { skopeo } = lab.clients({ ca: join(lab.work, 'pki', 'token.crt') });
    await expect(skopeo.pull('ghcr.io/team/app:1.0')).rejects.toThrow(/unknown authority/);
  });

  test('a crafted image comes back byte for byte', async () => {
    const image = await lab.craft({ seed: 'one of a kind', layers: [20_000_000], mediaTypes: 'docker' });
    await lab.push(image, 'docker.io/public/kind:1', ALICE);
    const pulled = await lab.clients().skopeo.pull('docker.io/public/kind:1');
    expect(pulled.digest).toBe(image.digest);
    expect(pulled.blobBytes).toBeGreaterThan(20_000_000);
  });
});

describe('the end', () => {
  test('a lab whose process is killed leaves a folder at most, and the next one clears it', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'lab.ts'), 'up'], { stdio: 'pipe' });
    await once(createInterface({ input: child.stdout }), 'line');
    const state = (await liveLabs()).find(({ pid }) => pid === child.pid);
    if (state?.servers === undefined) throw new Error('the second lab is not among those that are up');
    const network = networkOf(state.servers);
    expect(processesIn(network).length).toBeGreaterThan(5);

    child.kill('SIGKILL');
    await once(child, 'exit');
    await vi.waitFor(() => expect(processesIn(network)).toEqual([]), 5_000);
    await sweep();
    expect(remains(state.work, network)).toEqual([]);
    expect(existsSync(lab.work)).toBe(true);
  });

  test('going down leaves nothing', async () => {
    const clients = lab.clients();
    await clients.docker.pull(lab.images.ghcrApp.ref);
    await clients.containerd.pull(lab.images.ghcrApp.ref);
    const network = networkOf(lab.space.pid);
    expect(remains(lab.work, network)).not.toEqual([]);
    await lab.down();
    expect(remains(lab.work, network)).toEqual([]);
  });
});

/** What there still is of a lab: processes, files, mounts, cgroups. */
function remains(work: string, network: string): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const cgroups = readdirSync('/sys/fs/cgroup').map((name) =>
    join('/sys/fs/cgroup', name, cgroupParent(work)),
  );
  return [
    ...processesIn(network),
    ...[work, ...cgroups].filter((folder) => existsSync(folder)),
    ...mounts.filter((line) => line.includes(work)),
  ];
}

function networkOf(pid: number | string): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}

function processesIn(network: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return networkOf(pid) === network;
      } catch {
        return false;
      }
    });
}
