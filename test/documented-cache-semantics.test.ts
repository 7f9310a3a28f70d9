import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CacheStatus, CacheType } from '../src/cache/status.ts';
import { SETTING_NAMES, SETTINGS } from '../src/config/settings.ts';
import { PROBE_AGAIN_MS } from '../src/pulls/access.ts';
import { LIST_FRESH_MS } from '../src/pulls/listing.ts';
import { LAST_PATIENCE_MS, LONG_PATIENCE_MS, PATIENCE_MS } from '../src/pulls/patience.ts';
import { PING_FRESH_MS } from '../src/pulls/ping.ts';
import { NOT_FOUND_MS } from '../src/pulls/tag-resolve.ts';
import { REFRESH_AT } from '../src/pulls/tag.ts';
import { SHARED_LIFE } from '../src/pulls/token.ts';
import { ERRORS } from '../src/registry/errors.ts';
import type { Route } from '../src/registry/route.ts';
import * as circuit from '../src/upstream/circuit.ts';
import { LOCAL_LIFETIME_MS } from '../src/upstream/issued-tokens.ts';
import { isOutageStatus } from '../src/upstream/outage.ts';
import * as limits from '../src/upstream/rate-limits.ts';

let page: string;

beforeAll(async () => {
  const text = await readFile(new URL('../docs/reference/cache-semantics.md', import.meta.url), 'utf8');
  // where lines end says nothing
  page = text.replaceAll(/(?<![|\n])\n(?![|\n#-])/g, ' ').replaceAll(/ {2,}/g, ' ');
});

const seconds = (ms: number): string => `${ms / 1_000} s`;

/** Rows of the table under a heading, by cells. */
function rows(heading: string): string[][] {
  const [, after = ''] = page.split(`## ${heading}\n`);
  const [section = ''] = after.split('\n## ');
  return section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const inCode = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);

describe('docs/reference/cache-semantics.md', () => {
  test.each([
    ['believed to be missing for', seconds(NOT_FOUND_MS)],
    ['wait no longer than', seconds(PATIENCE_MS)],
    ['where the cache can answer;', seconds(LONG_PATIENCE_MS)],
    [
      'is left alone for',
      `${seconds(circuit.FIRST_PAUSE_MS)}, then longer, at the most ${seconds(circuit.LONGEST_PAUSE_MS)};`,
    ],
    ['Tokens that the proxy makes live for', seconds(LOCAL_LIFETIME_MS)],
    ['After', `${seconds(LAST_PATIENCE_MS)} the client is told`],
    ['is not tried again for', `${PROBE_AGAIN_MS / 60_000} min.`],
    ['one check in the background once', `${REFRESH_AT * 100} % of the time`],
    ['The pause is `Retry-After`, at the most', `${limits.LONGEST_RETRY_MS / 3_600_000} h;`],
    ['without it', `${seconds(limits.FIRST_PAUSE_MS)}, doubled`],
    ['doubled with each refusal, at the most', `${limits.LONGEST_PAUSE_MS / 60_000} min.`],
  ])('says "%s %s"', (words, figure) => {
    expect(page).toContain(`${words} ${figure}`);
  });

  test('says how long lists, pings and tokens are believed', () => {
    const believed = new Map(rows('What is asked').map(([asked = '', , time = '']) => [asked, time]));
    expect(believed.get('`tags` (tag list)')).toBe(seconds(LIST_FRESH_MS));
    expect(believed.get('`ping` (`/v2/`)')).toBe(seconds(PING_FRESH_MS));
    expect(believed.get('a token')).toBe({ 0.5: 'half its life' }[SHARED_LIFE]);
  });

  test('has every kind of request', () => {
    const kinds = {
      ping: true,
      manifest: true,
      blob: true,
      tags: true,
      referrers: true,
      upload: true,
      catalog: true,
      other: true,
      // refused
      v1: false,
    } satisfies Record<Route['kind'], boolean>;
    const listed = new Set(rows('What is asked').flatMap(([asked = '']) => inCode(asked)));
    for (const [kind, served] of Object.entries(kinds)) expect(listed.has(kind)).toBe(served);
  });

  test('uses the words of the code, and all of them', () => {
    const words = {
      HIT: true,
      MISS: true,
      EXPIRED: true,
      STALE: true,
      UPDATING: true,
      REVALIDATED: true,
      BYPASS: true,
    } satisfies Record<CacheStatus, true>;
    const used = rows('What is asked')
      .slice(2)
      .flatMap((cells) => inCode(cells.at(-1) ?? ''));
    expect(new Set(used)).toEqual(new Set(Object.keys(words)));
  });

  test('has the types of tags, the settings they follow and their defaults', () => {
    const types = [
      'manifest-default-disabled',
      'manifest-primary',
      'manifest-secondary',
      'manifest-default',
    ] as const satisfies readonly CacheType[];
    const tiers = rows('Tags').filter(([type = '']) => type.startsWith('`manifest-'));
    expect(tiers.map(([type = '']) => inCode(type)[0])).toEqual(types);
    for (const [, , time = ''] of tiers) {
      const [variable = '', shown] = time.split(', ');
      expect(defaultOf(inCode(variable)[0] ?? '')).toBe(shown);
    }
    expect(page).toContain(`\`TAG_STALE_TIME\`, ${String(defaultOf('TAG_STALE_TIME'))},`);
    for (const name of [
      'RATE_LIMIT_RESERVE',
      'PROXY_CONNECT_TIMEOUT',
      'PRIVATE_CHECK_INTERVAL',
      'PRIVATE_STALE_TIME',
    ]) {
      expect(page).toMatch(new RegExp(`\`${name}\`, ${String(defaultOf(name))}[,. ]`));
    }
  });

  test('names no setting and no error that is not there', () => {
    const names = inCode(page).flatMap((code) => /^[A-Z]+(_[A-Z]+)+(?==|$)/.exec(code)?.[0] ?? []);
    const known = [...SETTING_NAMES.map((name) => SETTINGS[name].env), ...Object.keys(ERRORS)];
    expect(names.filter((name) => !known.some((one) => one === name))).toEqual([]);
  });

  test('has the statuses of an outage', () => {
    const all = Array.from({ length: 400 }, (_, at) => 200 + at).filter(isOutageStatus);
    expect(page).toContain(`a status of ${all.join(', ')}.`);
  });
});

function defaultOf(variable: string): unknown {
  const name = SETTING_NAMES.find((candidate) => SETTINGS[candidate].env === variable);
  return name === undefined ? undefined : SETTINGS[name].default;
}
