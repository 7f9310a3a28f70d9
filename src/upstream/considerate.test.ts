import { Readable } from 'node:stream';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { parseRepositoryName } from '../registry/name.ts';
import { registryHost } from '../registry/registry-host.ts';
import { createConsiderate, type Challenges } from './considerate.ts';
import { identityOf, PROXY_IDENTITY, type Identity } from './identity.ts';
import { createIssuedTokens } from './issued-tokens.ts';
import { isOutage } from './outage.ts';
import { createRateLimits } from './rate-limits.ts';
import { UpstreamRefusal } from './refusal.ts';
import type { Upstream, UpstreamAnswer, UpstreamRequest } from './upstream.ts';

const REGISTRY = registryHost('registry-1.docker.io', 443);
const TAG = '/v2/library/alpine/manifests/latest';
const BLOB = `/v2/library/alpine/blobs/sha256:${'0'.repeat(64)}`;
const PULL_LIMIT =
  '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}';

let time = 0;
let sent: string[];
let upstream: Upstream;
/** What the registry answers next. */
let reply: { status: number; headers?: Record<string, string>; body?: string } | BreakwaterError;

function create(offline = false): Upstream {
  const inner: Upstream = {
    ask: ({ method, path }) => {
      sent.push(`${method} ${path}`);
      if (reply instanceof BreakwaterError) return Promise.reject(reply);
      const { status, headers = {}, body = '' } = reply;
      const answer = {
        status,
        headers,
        body: Readable.from([Buffer.from(body)]),
        host: REGISTRY.name,
        visibility: 'public',
      };
      // of the body only its bytes are read
      return Promise.resolve(answer as unknown as UpstreamAnswer);
    },
  };
  return createConsiderate(inner, {
    limits: createRateLimits(
      () => 10,
      pino({ level: 'silent' }),
      () => time,
    ),
    challenges: inMemory(),
    offline,
  });
}

function inMemory(): Challenges {
  const known = new Map<string, string>();
  return {
    find: (...key) => known.get(key.join(' ')),
    put: (registry, repository, asker, challenge) =>
      void known.set([registry, repository, asker].join(' '), challenge),
    delete: (...key) => void known.delete(key.join(' ')),
  };
}

beforeEach(() => {
  time = 1_000_000;
  sent = [];
  reply = { status: 200 };
  upstream = create();
});

function ask(method: UpstreamRequest['method'], path: string, identity: Identity = PROXY_IDENTITY) {
  return upstream.ask({ registry: REGISTRY, method, path, identity, headers: {}, follow: true });
}

async function refusalOf(asked: Promise<UpstreamAnswer>): Promise<UpstreamRefusal> {
  const thrown: unknown = await asked.catch((error: unknown) => error);
  if (!(thrown instanceof UpstreamRefusal)) throw new Error('it was not refused', { cause: thrown });
  return thrown;
}

test('a pull limit stops GET of manifests alone, until it is over', async () => {
  reply = { status: 429, headers: { 'retry-after': '60' }, body: PULL_LIMIT };
  const first = await refusalOf(ask('GET', TAG));
  expect(first).toMatchObject({ status: 429, code: 'UPSTREAM_LIMITED', headers: { 'retry-after': '60' } });
  expect(first.body.toString()).toBe(PULL_LIMIT);
  expect(isOutage(first)).toBe(true);
  reply = { status: 200 };
  time += 20_500;
  const second = await refusalOf(ask('GET', TAG));
  expect(second.headers).toMatchObject({ 'content-type': 'application/json', 'retry-after': '40' });
  expect(JSON.parse(second.body.toString())).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] });
  await ask('HEAD', TAG);
  await ask('GET', BLOB);
  time += 39_500;
  await ask('GET', TAG);
  expect(sent).toEqual([`GET ${TAG}`, `HEAD ${TAG}`, `GET ${BLOB}`, `GET ${TAG}`]);
});

test('an abuse limit stops everything, and is told to the client in the form it reads', async () => {
  reply = { status: 429, headers: { 'content-type': 'text/plain' }, body: 'Too Many Requests' };
  const first = await refusalOf(ask('HEAD', TAG));
  expect(first.headers).toMatchObject({ 'content-type': 'application/json', 'retry-after': '5' });
  expect(JSON.parse(first.body.toString())).toMatchObject({
    errors: [{ code: 'TOOMANYREQUESTS', message: expect.stringContaining('(Too Many Requests)') }],
  });
  reply = { status: 200 };
  for (const [method, path] of [
    ['GET', TAG],
    ['HEAD', TAG],
    ['GET', BLOB],
    ['GET', '/v2/'],
  ] as const) {
    expect(await refusalOf(ask(method, path))).toMatchObject({ status: 429 });
  }
  expect(sent).toHaveLength(1);
  // another identity is another budget
  await ask('GET', TAG, identityOf('Bearer alice'));
  time += 5_000;
  await ask('GET', TAG);
  expect(sent).toHaveLength(3);
});

test('OFFLINE asks nobody', async () => {
  upstream = create(true);
  await expect(ask('GET', TAG)).rejects.toMatchObject({ code: 'UPSTREAM_OFFLINE', status: 504 });
  expect(sent).toEqual([]);
});

describe('a local token that the registry does not know', () => {
  const { token } = createIssuedTokens().issue({ visibility: 'own', key: 'alice' });

  test('is no answer on what its owner may have; the challenge goes on', async () => {
    reply = { status: 401, headers: { 'www-authenticate': 'Bearer realm="x"' }, body: '{"errors":[]}' };
    const refusal = await refusalOf(ask('GET', BLOB, identityOf(`Bearer ${token}`)));
    expect(isOutage(refusal)).toBe(true);
    expect(refusal).toMatchObject({
      status: 401,
      code: 'UPSTREAM_TOKEN',
      headers: { 'www-authenticate': 'Bearer realm="x"' },
    });
  });

  test.each([401, 403, 404])('any other token has its answer: %i', async (status) => {
    reply = { status };
    expect(await ask('GET', BLOB, identityOf('Bearer eyJ'))).toMatchObject({ status });
  });
});

describe('a repository that asked for credentials', () => {
  const REPOSITORY = parseRepositoryName('alice/secret');
  const askOf = (identity: Identity, repository = REPOSITORY) =>
    upstream.ask({
      registry: REGISTRY,
      repository,
      method: 'GET',
      path: `/v2/${repository}/manifests/1`,
      identity,
      headers: {},
      follow: true,
    });
  const challenge = { 'www-authenticate': 'Basic realm="x"' };

  test('does so in an outage too, where the cache cannot answer without', async () => {
    reply = { status: 401, headers: challenge };
    expect(await askOf(PROXY_IDENTITY)).toMatchObject({ status: 401 });
    for (const next of [{ status: 503 }, new BreakwaterError('UPSTREAM_CONNECT', 'refused')]) {
      reply = next;
      const refusal = await refusalOf(askOf(PROXY_IDENTITY));
      expect(refusal).toMatchObject({ status: 401, headers: challenge });
      expect(isOutage(refusal)).toBe(true);
    }
  });

  test('is not one that did not, or does no more; clients with credentials see the outage', async () => {
    reply = { status: 401, headers: challenge };
    await askOf(PROXY_IDENTITY);
    await askOf(identityOf('Bearer bob'), parseRepositoryName('other/one'));
    reply = new BreakwaterError('UPSTREAM_CONNECT', 'refused');
    await expect(askOf(identityOf('Bearer bob'))).rejects.toMatchObject({ code: 'UPSTREAM_CONNECT' });
    await expect(askOf(PROXY_IDENTITY, parseRepositoryName('other/one'))).rejects.toMatchObject({
      status: 502,
    });
    reply = { status: 200 };
    await askOf(PROXY_IDENTITY);
    reply = { status: 503 };
    expect(await askOf(PROXY_IDENTITY)).toMatchObject({ status: 503 });
  });
});
