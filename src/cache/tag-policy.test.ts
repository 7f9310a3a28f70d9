import { describe, expect, test } from 'vitest';
import { loadConfig } from '../config/config.ts';
import { parseRepositoryName, parseTag } from '../registry/name.ts';
import { createTagPolicy, type TagPolicy } from './tag-policy.ts';

const HUB = 'registry-1.docker.io';
const MINUTE = 60_000;
const DAY = 86_400_000;

/** The policy of a tag under these settings. */
function policyOf(
  env: Readonly<Record<string, string>>,
  tag: string,
  repository = 'library/alpine',
  registry = HUB,
): TagPolicy {
  const { config } = loadConfig(env);
  return createTagPolicy(config)(registry, parseRepositoryName(repository), parseTag(tag));
}

const tiers = (env: Readonly<Record<string, string>> = {}) => ({ ENABLE_MANIFEST_CACHE: 'true', ...env });
const rules = (...list: readonly object[]) => ({ TAG_RULES: JSON.stringify(list) });

describe('without any manifest variable', () => {
  test.each(['latest', '22.04', 'stable', `sha256-${'a'.repeat(64)}`, `sha256-${'a'.repeat(64)}.sig`])(
    '%s is checked at most once in a few seconds, and served for 60 days in an outage',
    (tag) => {
      expect(policyOf({}, tag)).toEqual({
        type: 'manifest-default-disabled',
        fresh: 3_000,
        grace: 0,
        stale: 60 * DAY,
        refresh: false,
      });
    },
  );

  test('TAG_CHECK_INTERVAL and TAG_STALE_TIME say otherwise', () => {
    const policy = policyOf({ TAG_CHECK_INTERVAL: '0', TAG_STALE_TIME: '1h' }, 'latest');
    expect(policy).toMatchObject({ fresh: 0, stale: 60 * MINUTE });
  });

  test('the times of tiers that are off mean nothing', () => {
    expect(policyOf({ MANIFEST_CACHE_PRIMARY_TIME: '7d' }, 'stable')).toMatchObject({ fresh: 3_000 });
  });
});

describe('the three tiers', () => {
  test.each([
    ['stable', 'manifest-primary', 10 * MINUTE],
    ['22.04', 'manifest-secondary', 60 * DAY],
    ['latest', 'manifest-default', 60 * MINUTE],
  ])('%s is in %s', (tag, type, fresh) => {
    expect(policyOf(tiers(), tag)).toEqual({ type, fresh, grace: 0, stale: 60 * DAY, refresh: false });
  });

  test('the first that matches decides', () => {
    const both = { MANIFEST_CACHE_PRIMARY_REGEX: '1\\..*', MANIFEST_CACHE_SECONDARY_REGEX: '1\\..*' };
    expect(policyOf(tiers(both), '1.2.3')).toMatchObject({ type: 'manifest-primary' });
    expect(policyOf(tiers({ ...both, MANIFEST_CACHE_PRIMARY_REGEX: '2' }), '1.2.3')).toMatchObject({
      type: 'manifest-secondary',
    });
  });

  test('times are those of nginx', () => {
    const env = tiers({
      MANIFEST_CACHE_PRIMARY_TIME: '1h 30m',
      MANIFEST_CACHE_SECONDARY_TIME: '1w',
      MANIFEST_CACHE_DEFAULT_TIME: '90',
    });
    expect(policyOf(env, 'stable').fresh).toBe(90 * MINUTE);
    expect(policyOf(env, '1.2.3').fresh).toBe(7 * DAY);
    expect(policyOf(env, 'latest').fresh).toBe(90_000);
  });
});

describe('rules', () => {
  test('go before the tiers, whose type stays', () => {
    expect(policyOf({ ...tiers(), ...rules({ tag: '22.*', fresh: '1m' }) }, '22.04')).toEqual({
      type: 'manifest-secondary',
      fresh: MINUTE,
      grace: 0,
      stale: 60 * DAY,
      refresh: false,
    });
  });

  test('the first that matches decides alone: what it leaves out is not taken from the next', () => {
    const env = rules({ tag: 'latest', grace: '1h' }, { tag: '*', fresh: '9m', stale: '1d', refresh: true });
    expect(policyOf(env, 'latest')).toMatchObject({
      fresh: 3_000,
      grace: 60 * MINUTE,
      stale: 60 * DAY,
      refresh: false,
    });
    expect(policyOf(env, 'edge')).toMatchObject({ fresh: 9 * MINUTE, grace: 0, stale: DAY, refresh: true });
  });

  test.each([
    [{ registry: 'ghcr.io' }, false],
    [{ registry: 'docker.io' }, true],
    [{ registry: HUB }, true],
    [{ repository: 'library/*' }, true],
    [{ repository: 'team/**' }, false],
    [{ tag: 'lat*' }, true],
    [{ tag: '/^l.*t$/' }, true],
    [{ registry: 'docker.io', repository: 'library/alpine', tag: 'edge' }, false],
    [{}, true],
  ])('%j matches library/alpine:latest of the Hub: %s', (match, matches) => {
    const { fresh } = policyOf(rules({ ...match, fresh: '5m' }), 'latest');
    expect(fresh).toBe(matches ? 5 * MINUTE : 3_000);
  });

  test('revalidate leaves no time without a question, whatever the tier', () => {
    const env = { ...tiers(), ...rules({ tag: '22.04', revalidate: true }) };
    expect(policyOf(env, '22.04')).toMatchObject({ fresh: 0, grace: 0, stale: 60 * DAY });
  });
});
