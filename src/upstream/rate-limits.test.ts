import * as fc from 'fast-check';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { PROXY_IDENTITY, identityOf } from './identity.ts';
import { createRateLimits, parseRateLimit, type Cost, type RateLimits } from './rate-limits.ts';

const HUB = 'registry-1.docker.io';
const ALICE = identityOf('Bearer alice');
const PULL_LIMIT =
  '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}';
const ABUSE = 'Too Many Requests (HAP429)';
const RESERVE = 10;

let time = 0;
let limits: RateLimits;
let lines: Record<string, unknown>[];

beforeEach(() => {
  time = Date.parse('2026-11-24T00:00:00Z');
  lines = [];
  const log = pino(
    {},
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  limits = createRateLimits(
    () => RESERVE,
    log,
    () => time,
  );
});

const left = (remaining: number, limit = 100) => ({
  'ratelimit-limit': `${limit};w=21600`,
  'ratelimit-remaining': `${remaining};w=21600`,
});
const observe = (remaining: number, cost: Cost = 'check') =>
  limits.observe(HUB, PROXY_IDENTITY, cost, left(remaining));
const refuse = (cost: Cost, body: string, headers: Record<string, string> = {}) =>
  limits.refused(HUB, PROXY_IDENTITY, cost, headers, body);
const held = () =>
  (['pull', 'check', 'free'] as const).filter((cost) => limits.holdOff(HUB, PROXY_IDENTITY, cost) > 0);

describe('parseRateLimit', () => {
  test.each([
    [{ 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '20;w=21600' }, [100, 20, 21_600]],
    [{ 'ratelimit-limit': '100', 'ratelimit-remaining': '0' }, [100, 0, undefined]],
    [{ 'ratelimit-remaining': ' 5 ; w = 60 ' }, [undefined, 5, 60]],
    [{ 'ratelimit-limit': '200;w=60', 'ratelimit-remaining': '7' }, [200, 7, 60]],
  ])('%j', (headers, [limit, remaining, window]) => {
    expect(parseRateLimit(headers)).toEqual({ limit, remaining, window });
  });

  test.each([{}, { 'ratelimit-limit': '100;w=1' }, { 'ratelimit-remaining': 'many' }])(
    '%j says nothing',
    (headers) => expect(parseRateLimit(headers)).toBeUndefined(),
  );

  test('reads whatever comes without a throw', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (limit, remaining) => {
        const read = parseRateLimit({ 'ratelimit-limit': limit, 'ratelimit-remaining': remaining });
        expect(read === undefined || Number.isSafeInteger(read.remaining)).toBe(true);
      }),
    );
  });
});

describe('what is left', () => {
  test('is kept by registry and identity', () => {
    observe(50);
    limits.observe(HUB, ALICE, 'pull', left(150, 200));
    limits.observe('quay.io', PROXY_IDENTITY, 'pull', {});
    const all = limits.all().map(({ registry, limit }) => [registry, limit.limit, limit.remaining]);
    expect(all).toHaveLength(2);
    expect(all).toEqual(
      expect.arrayContaining([
        [HUB, 100, 50],
        [HUB, 200, 150],
      ]),
    );
    expect(limits.all().every(({ identity }) => !identity.includes('alice'))).toBe(true);
  });

  test('is low from the reserve on, for that identity', () => {
    observe(RESERVE + 1);
    expect(limits.isLow(HUB, PROXY_IDENTITY)).toBe(false);
    observe(RESERVE);
    expect(limits.isLow(HUB, PROXY_IDENTITY)).toBe(true);
    expect(limits.isLow(HUB, ALICE)).toBe(false);
    expect(limits.isLow('quay.io', PROXY_IDENTITY)).toBe(false);
  });

  test('is logged when it falls to the reserve, and not each time after', () => {
    for (const remaining of [12, 11, 10, 9, 3, 90, 10]) observe(remaining);
    expect(lines).toMatchObject([
      { level: 40, registry: HUB, remaining: 10, limit: 100 },
      { level: 40, registry: HUB, remaining: 10 },
    ]);
  });

  test('is not low any more when its window is over', () => {
    observe(0);
    time += 21_599_000;
    expect(limits.isLow(HUB, PROXY_IDENTITY)).toBe(true);
    time += 1_000;
    expect(limits.isLow(HUB, PROXY_IDENTITY)).toBe(false);
  });
});

describe('a 429', () => {
  test.each([
    ['the pull limit, on a GET', 'pull', PULL_LIMIT, {}, ['pull']],
    ['the pull limit by its headers', 'pull', '', { 'ratelimit-remaining': '0;w=21600' }, ['pull']],
    ['the pull limit, on a HEAD', 'check', PULL_LIMIT, {}, ['pull', 'check']],
    ['what says so of a blob, which is not counted', 'free', PULL_LIMIT, {}, ['pull', 'check', 'free']],
    ['the abuse limit', 'pull', ABUSE, {}, ['pull', 'check', 'free']],
    ['the abuse limit on a HEAD', 'check', ABUSE, {}, ['pull', 'check', 'free']],
  ] as const)('of %s stops what it is about', (_name, cost, body, headers, stopped) => {
    refuse(cost, body, headers);
    expect(held()).toEqual(stopped);
    expect(limits.holdOff(HUB, ALICE, 'pull')).toBe(0);
    expect(limits.holdOff('quay.io', PROXY_IDENTITY, 'pull')).toBe(0);
  });

  test.each([
    ['30', 30_000],
    ['Tue, 24 Nov 2026 00:02:00 GMT', 120_000],
    ['999999999', 6 * 3_600_000],
    ['0', 5_000],
    ['-5', 5_000],
    ['soon', 5_000],
    ['Mon, 23 Nov 2026 00:00:00 GMT', 5_000],
  ])('with Retry-After: %s is honoured', (value, pause) => {
    expect(refuse('pull', PULL_LIMIT, { 'retry-after': value })).toBe(pause);
    expect(limits.holdOff(HUB, PROXY_IDENTITY, 'pull')).toBe(pause);
    time += pause;
    expect(held()).toEqual([]);
  });

  test('without it brings growing pauses, five minutes at the most', () => {
    const pauses = Array.from({ length: 9 }, () => {
      const pause = refuse('pull', PULL_LIMIT);
      time += pause;
      return pause / 1000;
    });
    expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
  });

  test('counts once when many requests were under way', () => {
    for (let turn = 0; turn < 50; turn += 1) refuse('pull', PULL_LIMIT);
    time += 10_000;
    expect(held()).toEqual([]);
    expect(refuse('pull', PULL_LIMIT)).toBe(10_000);
    expect(lines).toHaveLength(2);
  });

  test('is over when such a request is answered; a HEAD does not end what GET was refused', () => {
    const turn = (answered: Cost | undefined): number => {
      const pause = refuse('pull', PULL_LIMIT);
      time += pause;
      if (answered !== undefined) observe(50, answered);
      return pause / 1000;
    };
    expect([turn('check'), turn('free'), turn('pull'), turn(undefined)]).toEqual([5, 10, 20, 5]);
  });
});
