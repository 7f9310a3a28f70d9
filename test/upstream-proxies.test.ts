import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from './lab/job.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy, type Proxy } from './lab/proxy.ts';
import { ANY_MANIFEST } from './upstream/image.ts';

const CORPORATE = '127.0.0.20:8888';
const SOCKS = '127.0.0.21:1080';
const LOGIN = 'build:s3cr3t';
const SOCKS_LOGIN = 'build:s3cr3t%40home';
/** Neither loopback nor known by a name. */
const PLAIN = '192.0.2.10:5001';

let lab: Lab;
let corporate: Job;
let corporateLog: string;

beforeAll(async () => {
  lab = await startLab();
  await lab.space.run(['ip', 'address', 'add', '192.0.2.10/32', 'dev', 'lo']);
  await startTinyproxy();
  await startMicrosocks();
  await startPlainRegistry();
});

afterAll(async () => {
  await lab?.down();
});

/** Debian's tinyproxy with a login, where names resolve. */
async function startTinyproxy(): Promise<void> {
  corporateLog = join(lab.work, 'tinyproxy.log');
  const file = join(lab.work, 'tinyproxy.conf');
  const [address, port] = CORPORATE.split(':');
  const lines = [
    `Port ${port}`,
    `Listen ${address}`,
    'Timeout 600',
    'MaxClients 100',
    `LogFile "${corporateLog}"`,
    'LogLevel Connect',
    'BasicAuth build s3cr3t',
    // what a company does not let through
    `Filter "${file}.filter"`,
    'FilterType ere',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  await writeFile(`${file}.filter`, '^forbidden\\.test$\n');
  corporate = lab.space.start(['tinyproxy', '-d', '-c', file]);
  lab.onDown(async () => void (await corporate.stop()));
  await reachable(CORPORATE);
}

async function startMicrosocks(): Promise<void> {
  const [address = '', port = ''] = SOCKS.split(':');
  const job = lab.space.start(['microsocks', '-i', address, '-p', port, '-u', 'build', '-P', 's3cr3t@home']);
  lab.onDown(async () => void (await job.stop()));
  await reachable(SOCKS);
}

async function startPlainRegistry(): Promise<void> {
  const file = join(lab.work, 'plain.yml');
  const config = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: join(lab.work, 'plain') } },
    http: { addr: PLAIN },
  };
  await writeFile(file, JSON.stringify(config));
  const job = lab.space.start(['docker-registry', 'serve', file]);
  lab.onDown(async () => void (await job.stop()));
  await reachable(PLAIN);
  const image = await lab.craft({ seed: 'plain', layers: [200_000] });
  await lab.space.run([
    'skopeo',
    '--insecure-policy',
    'copy',
    '--quiet',
    '--all',
    '--dest-tls-verify=false',
    `dir:${image.folder}`,
    `docker://${PLAIN}/team/app:1`,
  ]);
}

async function reachable(address: string): Promise<void> {
  const wait = `until (exec 3<>/dev/tcp/${address.replace(':', '/')}) 2>/dev/null; do sleep 0.05; done`;
  await lab.space.run(['timeout', '20', 'bash', '-c', wait]);
}

/** The hosts that tinyproxy was asked for, in order. */
async function asked(): Promise<string[]> {
  const log = await readFile(corporateLog, 'utf8');
  return [...log.matchAll(/Request \(file descriptor \d+\): (.*) HTTP/g)].map(([, line = '']) => line);
}

/** Breakwater where no name resolves but its own: only what is between knows the way. */
function start(env: Readonly<Record<string, string>>): Promise<Proxy> {
  return startProxy({ ...lab, space: lab.clientSpace }, { env });
}

async function pull(proxy: Proxy, ref: string): Promise<string> {
  const { digest } = await lab.clients({ proxy: proxy.url, ca: proxy.ca }).skopeo.pull(ref);
  return digest;
}

/** Asks for a tag; gives the status and the body of what came. */
async function ask(proxy: Proxy, url: string): Promise<{ status: number; body: string }> {
  const { curl } = lab.clients({ proxy: proxy.url, ca: proxy.ca });
  const { status, body } = await curl.request(url, {
    headers: { accept: ANY_MANIFEST },
    flags: ['--proxy', proxy.url],
  });
  return { status, body: body.toString() };
}

/** Runs with a Breakwater of these settings; what it wrote to its log comes back. */
async function through(
  env: Readonly<Record<string, string>>,
  use: (proxy: Proxy) => Promise<void>,
): Promise<string> {
  const proxy = await start(env);
  try {
    await use(proxy);
  } finally {
    await proxy.stop();
  }
  return proxy.log;
}

/** Which hosts tinyproxy is asked for meanwhile. */
async function askedMeanwhile(use: () => Promise<void>): Promise<ReadonlySet<string>> {
  const before = (await asked()).length;
  await use();
  return new Set((await asked()).slice(before));
}

describe('an HTTP proxy with a login', () => {
  const env = { HTTPS_PROXY: `http://${LOGIN}@${CORPORATE}`, HTTP_PROXY: `http://${LOGIN}@${CORPORATE}` };

  test('images, tokens and the layers of a CDN come through it, and the login is told to nobody', async () => {
    const hosts = await askedMeanwhile(async () => {
      const log = await through(env, async (proxy) => {
        expect(await pull(proxy, lab.images.single.ref)).toBe(lab.images.single.manifests[0]?.digest);
        expect(JSON.stringify(proxy.requests())).not.toContain('s3cr3t');
      });
      expect(log).not.toContain('s3cr3t');
    });
    expect(hosts).toEqual(
      new Set([
        'CONNECT registry-1.docker.io:443',
        'CONNECT auth.docker.io:443',
        'CONNECT production.cloudflare.docker.com:443',
      ]),
    );
  });

  test('tunnels go through it', async () => {
    const hosts = await askedMeanwhile(async () => {
      await through({ ...env, REGISTRIES: 'ghcr.io' }, async (proxy) => {
        const { curl } = lab.clients({ proxy: proxy.url, ca: lab.ca });
        expect((await curl.request('https://quay.io/v2/')).status).toBe(401);
      });
    });
    expect(hosts).toEqual(new Set(['CONNECT quay.io:443']));
  });

  test('plain HTTP goes through it as requests for whole URLs, and is cached', async () => {
    const hosts = await askedMeanwhile(async () => {
      await through({ ...env, REGISTRIES: `http://${PLAIN}` }, async (proxy) => {
        const path = '/v2/team/app/manifests/1';
        expect((await ask(proxy, `http://${PLAIN}${path}`)).status).toBe(200);
        expect((await ask(proxy, `https://${PLAIN}${path}`)).status).toBe(200);
      });
    });
    expect(hosts.size).toBeGreaterThan(0);
    for (const line of hosts) expect(line).toMatch(new RegExp(`^(GET|HEAD) http://${PLAIN}/v2/`));
  });

  test('what NO_PROXY has goes past it: a network with a port, a suffix, all', async () => {
    for (const [noProxy, url, status] of [
      ['192.0.2.0/24:5001', `http://${PLAIN}/v2/`, 200],
      ['.docker.io,192.0.2.0/24', `http://${PLAIN}/v2/`, 200],
      ['*', `http://${PLAIN}/v2/`, 200],
      // and there is nothing past it that knows the name
      ['ghcr.io', 'https://ghcr.io/v2/team/app/tags/list', 502],
    ] as const) {
      const hosts = await askedMeanwhile(async () => {
        await through({ ...env, REGISTRIES: `http://${PLAIN} ghcr.io`, no_proxy: noProxy }, async (proxy) => {
          expect([noProxy, (await ask(proxy, url)).status]).toEqual([noProxy, status]);
        });
      });
      expect([noProxy, ...hosts]).toEqual([noProxy]);
    }
  });

  test('a rule decides for one host, whatever the environment says', async () => {
    const rules = JSON.stringify([
      { host: 'quay.io', proxy: `http://${LOGIN}@${CORPORATE}` },
      { host: PLAIN, proxy: 'none' },
    ]);
    const hosts = await askedMeanwhile(async () => {
      const rest = { HTTP_PROXY: 'http://192.0.2.1:9', NO_PROXY: '*', CONNECTION_RULES: rules };
      const log = await through({ ...rest, REGISTRIES: `quay.io http://${PLAIN}` }, async (proxy) => {
        expect((await ask(proxy, 'https://quay.io/v2/')).status).toBe(401);
        expect((await ask(proxy, `http://${PLAIN}/v2/`)).status).toBe(200);
      });
      expect(log).not.toContain('s3cr3t');
    });
    expect(hosts).toEqual(new Set(['CONNECT quay.io:443']));
  });

  test.each([
    ['no login', `http://${CORPORATE}`, 'It wants a login'],
    ['nobody there', 'http://127.0.0.20:9', 'ECONNREFUSED'],
    ['a name that nobody knows', 'http://proxy.nowhere:3128', 'proxy.nowhere:3128'],
  ])('%s: the failure names the proxy, the setting and what mends it', async (_, address, said) => {
    const both = { HTTPS_PROXY: address, HTTP_PROXY: address, REGISTRIES: `ghcr.io http://${PLAIN}` };
    const log = await through(both, async (proxy) => {
      for (const [url, setting] of [
        ['https://ghcr.io/v2/team/app/tags/list', 'HTTPS_PROXY'],
        [`http://${PLAIN}/v2/team/app/tags/list`, 'HTTP_PROXY'],
      ] as const) {
        const { status, body } = await ask(proxy, url);
        expect([status, body]).toEqual([502, expect.stringContaining('UPSTREAM_PROXY')]);
        expect(body).toContain(`(${setting})`);
        expect(body).toContain(said);
        expect(body).not.toContain('wr0ngpass');
      }
    });
    expect(log).not.toContain('wr0ngpass');
  });

  test('a wrong login is told, and not shown', async () => {
    const log = await through({ HTTPS_PROXY: `http://build:wr0ngpass@${CORPORATE}` }, async (proxy) => {
      const { status, body } = await ask(proxy, 'https://ghcr.io/v2/team/app/tags/list');
      expect([status, body]).toEqual([
        502,
        expect.stringContaining('does not take the login in HTTPS_PROXY'),
      ]);
      expect(body).not.toContain('wr0ngpass');
    });
    expect(log).not.toContain('wr0ngpass');
  });

  test('what a company forbids is told as that', async () => {
    await through({ ...env, REGISTRIES: 'forbidden.test' }, async (proxy) => {
      const { status, body } = await ask(proxy, 'https://forbidden.test/v2/a/tags/list');
      expect([status, body]).toEqual([
        502,
        expect.stringContaining('answered 403 Forbidden for forbidden.test:443'),
      ]);
    });
  });
});

describe('a SOCKS 5 proxy', () => {
  test('images and tunnels come through it, names resolved there', async () => {
    const log = await through(
      {
        HTTPS_PROXY: `socks5://${SOCKS_LOGIN}@${SOCKS}`,
        HTTP_PROXY: `socks5h://${SOCKS_LOGIN}@${SOCKS}`,
        REGISTRIES: `http://${PLAIN} ghcr.io`,
      },
      async (proxy) => {
        expect(await pull(proxy, lab.images.single.ref)).toBe(lab.images.single.manifests[0]?.digest);
        const { curl } = lab.clients({ proxy: proxy.url, ca: lab.ca });
        expect((await curl.request('https://quay.io/v2/')).status).toBe(401);
        expect((await ask(proxy, `http://${PLAIN}/v2/`)).status).toBe(200);
      },
    );
    expect(log).not.toContain('s3cr3t');
  });

  test('a wrong login is told, and not shown', async () => {
    const log = await through({ HTTPS_PROXY: `socks5://build:wr0ngpass@${SOCKS}` }, async (proxy) => {
      const { status, body } = await ask(proxy, 'https://ghcr.io/v2/team/app/tags/list');
      expect([status, body]).toEqual([502, expect.stringContaining('takes no such login')]);
      expect(body).not.toContain('wr0ngpass');
    });
    expect(log).not.toContain('wr0ngpass');
  });
});

describe('a proxy that is this proxy', () => {
  test('is found out at the first turn', async () => {
    const itself = 'http://proxy.test:3128';
    await through(
      { HTTPS_PROXY: itself, HTTP_PROXY: itself, REGISTRIES: `ghcr.io http://${PLAIN}` },
      async (proxy) => {
        for (const url of [
          'https://ghcr.io/v2/team/app/tags/list',
          `http://${PLAIN}/v2/team/app/tags/list`,
        ]) {
          const { status, body } = await ask(proxy, url);
          expect([status, body]).toEqual([502, expect.stringContaining('leads back to this proxy')]);
        }
        // the question, and the turn that was refused
        expect(proxy.requests().length).toBeLessThan(6);
      },
    );
  });
});
