import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from './lab/job.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy } from './lab/proxy.ts';
import type { Space } from './lab/space.ts';
import { randomBlob } from './upstream/content.ts';
import { blobPath, expectWhole } from './upstream/paths.ts';
import { startStage } from './upstream/stage.ts';

/** Where dnsmasq answers, and where nobody does. */
const NAME_SERVER = '127.0.0.53';
const DEAD_NAME_SERVER = '192.0.2.53';
const GHCR = '127.0.0.5';
const GHCR_V6 = '2001:db8::5';
/** Packets to these vanish. */
const HOLE = '192.0.2.66';
const HOLE_V6 = '2001:db8::66';
/** Nobody listens here, and that is said. */
const CLOSED = '192.0.2.67';

let lab: Lab;
let names: Job | undefined;
const spaces: Space[] = [];
const proxies: Proxy[] = [];

beforeAll(async () => {
  lab = await startLab();
  for (const address of [
    `${DEAD_NAME_SERVER}/32`,
    `${HOLE}/32`,
    `${CLOSED}/32`,
    `${GHCR_V6}/128`,
    `${HOLE_V6}/128`,
  ])
    await lab.space.run([
      'ip',
      'address',
      'add',
      address,
      'dev',
      'lo',
      ...(address.includes(':') ? ['nodad'] : []),
    ]);
  for (const address of [DEAD_NAME_SERVER, HOLE])
    await lab.space.run(['iptables', '-A', 'INPUT', '-d', address, '-j', 'DROP']);
  await lab.space.run(['ip6tables', '-A', 'INPUT', '-d', HOLE_V6, '-j', 'DROP']);
  await forward(GHCR_V6, GHCR);
});

afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
  await names?.stop();
  names = undefined;
});

afterAll(async () => {
  for (const space of spaces) await space.close();
  await lab?.down();
});

/** The registry has one more address. */
async function forward(from: string, to: string): Promise<void> {
  const script = `require('net').createServer((a) => {
    const b = require('net').connect(443, '${to}');
    a.on('error', () => b.destroy()); b.on('error', () => a.destroy());
    a.pipe(b).pipe(a);
  }).listen(443, '${from}', () => console.log('ready'))`;
  const job = lab.space.start([process.execPath, '-e', script]);
  lab.onDown(async () => void (await job.stop()));
  await job.stdout.until((line) => line === 'ready');
}

/** Debian's dnsmasq, with these records and no others. */
async function serveNames(records: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const file = join(lab.work, 'names');
  await writeFile(
    file,
    Object.entries(records)
      .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`))
      .join(''),
  );
  if (names !== undefined) {
    names.kill('SIGHUP');
    await delay(200);
    return;
  }
  names = lab.space.start([
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
    `--addn-hosts=${file}`,
    `--listen-address=${NAME_SERVER}`,
    '--bind-interfaces',
    '--user=root',
    '--log-facility=-',
  ]);
  await names.stderr.until((line) => line.includes(': read '));
}

async function start(resolvConf: string, env: Readonly<Record<string, string>> = {}): Promise<Proxy> {
  const space = await lab.space.withNameServers(join(lab.work, `names-${spaces.length}`), resolvConf);
  spaces.push(space);
  const proxy = await startProxy({ ...lab, space }, { env });
  proxies.push(proxy);
  return proxy;
}

const USUAL = `nameserver ${NAME_SERVER}\n`;
const LIST = 'https://ghcr.io/v2/team/app/tags/list';

/** Asks what is never cached; gives the status and the seconds until it came. */
async function ask(proxy: Proxy, url = LIST): Promise<{ status: number; seconds: number; text: string }> {
  const { curl } = lab.clients({ proxy: proxy.url, ca: proxy.ca });
  const { status, seconds, body } = await curl.request(url, { flags: ['--proxy', proxy.url] });
  return { status, seconds, text: body.toString() };
}

describe('12: names and addresses', () => {
  test('an AAAA that leads nowhere', async () => {
    await serveNames({ 'ghcr.io': [HOLE_V6, GHCR] });
    const proxy = await start(USUAL);
    const first = await ask(proxy);
    expect(first).toMatchObject({ status: 200 });
    expect(first.seconds).toBeLessThan(2);
    const hub = await lab.clients({ proxy: proxy.url, ca: proxy.ca }).skopeo.pull(lab.images.ghcrApp.ref);
    expect(hub.digest).toBe(lab.images.ghcrApp.manifests[0]?.digest);
  });

  test('of many addresses the last one works: one is silent, one refuses, one is of the other family', async () => {
    await serveNames({ 'ghcr.io': [HOLE_V6, HOLE, CLOSED, GHCR] });
    const proxy = await start(USUAL);
    const { status, seconds } = await ask(proxy);
    expect(status).toBe(200);
    expect(seconds).toBeLessThan(3);
  });

  test('a host of IPv6 alone, and DISABLE_IPV6', async () => {
    await serveNames({ 'ghcr.io': [GHCR_V6] });
    expect((await ask(await start(USUAL))).status).toBe(200);
    await proxies.pop()?.stop();
    const { status, text } = await ask(await start(USUAL, { DISABLE_IPV6: 'true' }));
    expect([status, text]).toEqual([502, expect.stringContaining('UPSTREAM_DNS')]);
  });

  test('a dead name server first', async () => {
    await serveNames({ 'ghcr.io': [GHCR] });
    const proxy = await start(`nameserver ${DEAD_NAME_SERVER}\n${USUAL}`);
    const first = await ask(proxy);
    expect(first.status).toBe(200);
    // the system leaves a silent one after five seconds
    expect(first.seconds).toBeLessThan(9);
    expect((await ask(proxy)).seconds).toBeLessThan(1);
  });

  test('a name server with a zone id first, and a search domain', async () => {
    await serveNames({ 'registry.corp.test': [GHCR] });
    const proxy = await start(`search corp.test\nnameserver fe80::1%lo\n${USUAL}options timeout:1\n`, {
      REGISTRIES: 'registry',
      CONNECTION_RULES: JSON.stringify([{ host: 'registry', server_name: 'ghcr.io' }]),
    });
    expect((await ask(proxy, 'https://registry/v2/team/app/tags/list')).status).toBe(200);
  });

  test('a registry that moves to another address', async () => {
    await serveNames({ 'ghcr.io': [CLOSED] });
    const proxy = await start(USUAL);
    expect((await ask(proxy)).status).toBe(502);
    await serveNames({ 'ghcr.io': [GHCR] });
    await expect.poll(async () => (await ask(proxy)).status, { timeout: 5_000 }).toBe(200);
  });

  test('name servers that die: what they said last still leads there', async () => {
    await serveNames({ 'ghcr.io': [GHCR] });
    const proxy = await start(USUAL);
    expect((await ask(proxy)).status).toBe(200);
    await names?.stop();
    names = undefined;
    // no connection is left, and what was looked up is old
    await delay(11_000);
    await lab.ghcr.stop();
    await lab.ghcr.start();
    expect((await ask(proxy)).status).toBe(200);
  });

  test('a name that does not exist', async () => {
    await serveNames({});
    const { status, text } = await ask(await start(USUAL));
    expect([status, text]).toEqual([502, expect.stringContaining('UPSTREAM_DNS')]);
  });
});

describe('13: upstream through a proxy with a login, and NO_PROXY with a network', () => {
  // the rest of the row is test/upstream-proxies.test.ts
  test('a proxy of many addresses is reached at the one that works', async () => {
    const file = join(lab.work, 'tinyproxy-13.conf');
    await writeFile(file, 'Port 8888\nListen 127.0.0.20\nBasicAuth build s3cr3t\n');
    const corporate = lab.space.start(['tinyproxy', '-d', '-c', file]);
    try {
      await serveNames({ 'proxy.corp.test': [HOLE_V6, CLOSED, '127.0.0.20'] });
      const proxy = await start(USUAL, { HTTPS_PROXY: 'http://build:s3cr3t@proxy.corp.test:8888' });
      const { status, seconds } = await ask(proxy);
      expect(status).toBe(200);
      expect(seconds).toBeLessThan(4);
    } finally {
      await corporate.stop();
    }
  });
});

// 14, registries on odd ports with private CAs, plain HTTP and mutual TLS, is test/registries-with-private-cas.test.ts
describe('time-outs', () => {
  test('an answer is waited for while bytes flow, however long the whole takes', async () => {
    // a tenth of a megabyte a second and a time-out of one second, as 40 GB at 1 MB/s and one of a minute
    const blob = randomBlob('slow', 500_000);
    await using stage = await startStage({ env: { PROXY_READ_TIMEOUT: '1s', SEND_TIMEOUT: '1s' } });
    stage.registry.put({ repository: 'team/slow', blobs: [blob] });
    stage.registry.on({ method: 'GET', path: blobPath('team/slow', blob) }, { rate: 100_000 });
    const began = performance.now();
    expectWhole(await stage.client.get(blobPath('team/slow', blob)), blob);
    expect(performance.now() - began).toBeGreaterThan(3_000);
  });
});
