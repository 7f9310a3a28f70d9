import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../src/ca/openssl.fixture.ts';
import { run } from './lab/job.ts';
import { startLab } from './lab/lab.ts';
import { startProxy } from './lab/proxy.ts';
import { startLocalProxy, type LocalProxy } from './support/local-proxy.ts';
import { ask, askPlain, openSecure, sendRaw } from './support/wire.ts';

const GREETING = 'docker-registry-proxy: The docker caching proxy is working!';
/** As it stands in the README of docker-registry-proxy. */
const SED_SERVICE = String.raw`sed s/docker\.service/containerd\.service/g`;
const SED_NO_PROXY = String.raw`sed '/Environment/ s/$/ "NO_PROXY=127.0.0.0\/8,10.0.0.0\/8,172.16.0.0\/12,192.168.0.0\/16"/'`;
const NO_PROXY = '"NO_PROXY=127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let proxy: LocalProxy;

beforeAll(async () => {
  folder = await temporaryFolder();
  proxy = await startLocalProxy(folder.path, { TUNNEL_ALLOW: '*' });
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

describe('GET /', () => {
  test('greets scripts as docker-registry-proxy does', async () => {
    const { status, headers, body } = await askPlain(proxy, '/');
    expect([status, headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
    expect(body.toString()).toBe(GREETING);
  });

  test('shows a page to browsers', async () => {
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
    const { status, headers, body } = await askPlain(proxy, '/', { headers: { accept } });
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    const { fingerprint256 } = new X509Certificate(await readFile(proxy.caFile));
    expect(body.toString()).toMatch(/^<!doctype html>/);
    for (const part of ['Breakwater', 'href="/ca.crt"', 'href="/setup/systemd"', fingerprint256])
      expect(body.toString()).toContain(part);
  });
});

describe('GET /ca.crt', () => {
  test('gives the file of CA_DIR as it is', async () => {
    const { status, headers, body } = await askPlain(proxy, '/ca.crt');
    expect([status, headers['content-type']]).toEqual([200, 'application/x-x509-ca-cert']);
    expect(body).toEqual(await readFile(proxy.caFile));
  });

  test('gives DER where it is asked for', async () => {
    const { status, headers, body } = await askPlain(proxy, '/ca.crt?format=der');
    expect([status, headers['content-type']]).toEqual([200, 'application/pkix-cert']);
    expect(body).toEqual(new X509Certificate(await readFile(proxy.caFile)).raw);
  });

  test.each(['/', '/ca.crt', '/ca.crt?format=der', '/setup/systemd'])(
    'HEAD %s announces what GET gives',
    async (path) => {
      const [get, head] = [await askPlain(proxy, path), await askPlain(proxy, path, { method: 'HEAD' })];
      expect([head.status, head.headers['content-length'], head.body.length]).toEqual([
        200,
        String(get.body.length),
        0,
      ]);
    },
  );
});

describe('GET /setup/systemd', () => {
  test('gives a script for the host by which it was asked', async () => {
    const script = await setupScript('proxy.example:3128');
    expect(script.startsWith('#!/bin/sh\n')).toBe(true);
    expect(environmentLines(script)).toEqual(['Environment="HTTPS_PROXY=http://proxy.example:3128/"']);
    expect(script).toContain('http://proxy.example:3128/ca.crt');
    expect(script).toContain('docker.service');
  });

  test.each(['192.168.66.72:3128', '[fd00::1]:3128', 'PROXY.Example', 'localhost'])(
    'takes %s for a host',
    async (host) => {
      expect(await setupScript(host)).toContain(`HTTPS_PROXY=http://${host}/`);
    },
  );

  test.each([
    ['for containerd', [SED_SERVICE], false],
    ['with exceptions', [SED_NO_PROXY], true],
    ['for containerd with exceptions', [SED_SERVICE, SED_NO_PROXY], true],
  ])('changes by the recipes of the README: %s', async (_name, recipes, exceptions) => {
    const original = await setupScript('proxy.example:3128');
    const script = await filtered(original, recipes);
    const service = recipes.includes(SED_SERVICE) ? 'containerd.service' : 'docker.service';
    const line = 'Environment="HTTPS_PROXY=http://proxy.example:3128/"';
    expect(environmentLines(script)).toEqual([exceptions ? `${line} ${NO_PROXY}` : line]);
    expect(script).toContain(`/etc/systemd/system/${service}.d/http-proxy.conf`);
    expect(script).toContain(`systemctl restart ${service}`);
    // what the recipes do not name is left alone
    const back = script.replaceAll('containerd.service', 'docker.service').replace(` ${NO_PROXY}`, '');
    expect(back).toBe(original);
    expect(await shellComplaints(script)).toBe('');
  });

  test('passes the checks of shells', async () => {
    expect(await shellComplaints(await setupScript('proxy.example:3128'))).toBe('');
  });

  test.each([
    'a$(reboot)',
    'a`reboot`',
    'a;reboot',
    'a"reboot',
    "a'reboot",
    'a reboot',
    'a&reboot',
    'a|reboot',
    'a/reboot',
    'a\\reboot',
    'a@reboot',
    'a:12x',
    'a:123456',
    '-reboot',
    '$HOME',
    'é.example',
  ])('refuses the Host header %s and does not repeat it', async (host) => {
    const raw = await sendRaw(
      proxy,
      `GET /setup/systemd HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
    expect(raw).toMatch(/^HTTP\/1\.1 400 /);
    expect(raw).not.toContain('reboot');
    expect(raw).not.toContain('HOME');
    expect(raw).toContain('"errors"');
  });

  test('sets a real machine up when it is piped to a shell', async () => {
    const lab = await startLab();
    try {
      const running = await startProxy(lab);
      const setUp = [
        // files of the machine that are not the lab's own are put out of reach first
        'mount -t tmpfs tmpfs /usr/local/share/ca-certificates',
        'mkdir -p /run/bin && printf \'#!/bin/sh\\necho "$@" >> /run/systemctl\\n\' > /run/bin/systemctl',
        'chmod +x /run/bin/systemctl && PATH=/run/bin:$PATH',
        `curl -fsS ${running.url}/setup/systemd | ${SED_SERVICE} | ${SED_NO_PROXY} | bash >&2`,
        'cat /etc/systemd/system/containerd.service.d/http-proxy.conf /run/systemctl',
        // trusted through the machine's own store by now
        `curl -fsS --proxy ${running.url} -o /dev/null -w '%{http_code}\\n' https://ghcr.io/v2/`,
      ];
      const { stdout } = await lab.clientSpace.run(['unshare', '--mount', 'bash', '-ec', setUp.join('\n')]);
      expect(stdout.toString().split('\n')).toEqual([
        '[Service]',
        `Environment="HTTPS_PROXY=${running.url}/" ${NO_PROXY}`,
        'daemon-reload',
        'restart containerd.service',
        '200',
        '',
      ]);
    } finally {
      await lab.down();
    }
  });
});

describe('what nobody serves', () => {
  test.each(['/favicon.ico', '/setup', '/v2/', '/ca.crt/', '/..', '//', '//evil.example/', '/%'])(
    'GET %s is 404 with an OCI error',
    async (path) => {
      const raw = await sendRaw(proxy, `GET ${path} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n`);
      expect(raw).toMatch(/^HTTP\/1\.1 404 /);
      expect(bodyOf(raw).errors[0]).toMatchObject({ code: 'UNSUPPORTED', detail: { reason: 'NOT_FOUND' } });
    },
  );

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'TRACE'])(
    '%s / is 405 and says what is allowed',
    async (method) => {
      const { status, headers, body } = await askPlain(proxy, '/', { method });
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
      expect(JSON.parse(body.toString()).errors[0].detail.reason).toBe('METHOD_NOT_ALLOWED');
    },
  );

  test.each([
    ['a method that does not exist', 'BREW / HTTP/1.1\r\nHost: proxy\r\n\r\n'],
    ['no HTTP at all', '\x16\x03\x01\x00\x05hello'],
    ['a version that does not exist', 'GET / HTTP/9.9\r\nHost: proxy\r\n\r\n'],
    ['a broken header', 'GET / HTTP/1.1\r\nHost: proxy\r\nno colon\r\n\r\n'],
    [
      'lengths that contradict',
      'POST / HTTP/1.1\r\nHost: p\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    ],
    [
      'https:// without CONNECT',
      'GET https://ghcr.io/v2/ HTTP/1.1\r\nHost: ghcr.io\r\nConnection: close\r\n\r\n',
    ],
    ['ftp://', 'GET ftp://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n'],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n'],
  ])('%s is 400 with an OCI error', async (_name, request) => {
    const raw = await sendRaw(proxy, request);
    expect(raw).toMatch(/^HTTP\/1\.1 400 /);
    expect(bodyOf(raw).errors[0]).toMatchObject({
      code: 'UNSUPPORTED',
      detail: { reason: 'REQUEST_MALFORMED' },
    });
  });
});

describe('a request for an http:// URL', () => {
  let server: Server;
  let origin: string;

  beforeAll(async () => {
    server = createServer((request, response) => {
      void text(request).then((body) => {
        response.writeHead(203, { 'content-type': 'text/plain', 'x-seen': request.headers['x-mine'] ?? '' });
        response.end(`${request.method} ${request.url} ${request.headers.host} ${body}`);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    origin = typeof address === 'object' ? `127.0.0.1:${address?.port}` : '';
  });

  afterAll(() => {
    server?.closeAllConnections();
    server?.close();
  });

  test('goes to its host and comes back as it is', async () => {
    const answer = await askPlain(proxy, `http://${origin}/a/b?c=d&e`, { headers: { 'x-mine': 'kept' } });
    expect([answer.status, answer.headers['x-seen']]).toEqual([203, 'kept']);
    expect(answer.body.toString()).toBe(`GET /a/b?c=d&e ${origin} `);
  });

  test('keeps its method and its body', async () => {
    const head = `POST http://${origin}/form HTTP/1.1\r\nHost: ${origin}\r\nConnection: close\r\n`;
    const raw = await sendRaw(proxy, `${head}Content-Length: 4\r\n\r\nbody`);
    expect(raw).toMatch(/^HTTP\/1\.1 203 /);
    expect(raw).toContain(`POST /form ${origin} body`);
  });

  test('may ask with HEAD', async () => {
    const { status, body } = await askPlain(proxy, `http://${origin}/`, { method: 'HEAD' });
    expect([status, body.length]).toEqual([203, 0]);
  });

  test('is 502 with an OCI error where the host cannot be reached', async () => {
    const { status, body } = await askPlain(proxy, 'http://127.0.0.1:1/');
    expect(status).toBe(502);
    expect(JSON.parse(body.toString()).errors[0].detail.reason).toBe('UPSTREAM_CONNECT');
  });

  test('is logged', async () => {
    await askPlain(proxy, `http://${origin}/logged?secret`);
    const entry = await proxy.untilAnswered(({ uri }) => uri === '/logged');
    expect(entry).toMatchObject({
      method: 'GET',
      host: origin,
      status: '203',
      upstream_cache_status: 'BYPASS',
    });
  });
});

test('docker.caching.proxy.internal is the proxy itself', async () => {
  const target = 'docker.caching.proxy.internal:443';
  const greeting = await ask(await openSecure(proxy, target), '/');
  expect(greeting.body.toString()).toBe(GREETING);
  const certificate = await ask(await openSecure(proxy, target), '/ca.crt');
  expect(certificate.body).toEqual(await readFile(proxy.caFile));
  expect((await ask(await openSecure(proxy, target), '/v2/')).status).toBe(404);
});

async function setupScript(host: string): Promise<string> {
  const { status, headers, body } = await askPlain(proxy, '/setup/systemd', { headers: { host } });
  expect([status, headers['content-type']]).toEqual([200, 'text/x-shellscript; charset=utf-8']);
  return body.toString();
}

function environmentLines(script: string): string[] {
  return script.split('\n').filter((line) => line.includes('Environment'));
}

async function filtered(script: string, recipes: readonly string[]): Promise<string> {
  const file = join(folder.path, 'setup');
  await writeFile(file, script);
  const { stdout } = await run(['sh', '-c', ['cat "$0"', ...recipes].join(' | '), file]);
  return stdout.toString();
}

/** What shells say of a script without running it; Debian has shellcheck, where it is installed. */
async function shellComplaints(script: string): Promise<string> {
  const file = join(folder.path, 'setup');
  await writeFile(file, script);
  const checks = [
    ['sh', '-n'],
    ['bash', '-n'],
    ...(existsSync('/usr/bin/shellcheck') ? [['/usr/bin/shellcheck']] : []),
  ];
  let said = '';
  for (const check of checks) {
    const { code, stdout, stderr } = await run([...check, file], { mayFail: true });
    if (code !== 0) said += `${check.join(' ')}: ${stdout.toString()}${stderr}`;
  }
  return said;
}

function bodyOf(raw: string): { errors: { code: string; detail: unknown }[] } {
  return JSON.parse(raw.slice(raw.indexOf('\r\n\r\n') + 4));
}
