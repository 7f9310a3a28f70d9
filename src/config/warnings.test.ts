import { describe, expect, test } from 'vitest';
import { loadConfig } from './config.ts';
import { configWarnings } from './warnings.ts';

const warnings = (env: Readonly<Record<string, string>>): readonly string[] =>
  configWarnings(loadConfig({ LISTEN: '127.0.0.1:3128', ...env }).config);
const cached = { ENABLE_MANIFEST_CACHE: 'true' };

describe('configWarnings', () => {
  test('a proxy of this machine alone gives none', () => {
    expect(warnings({})).toEqual([]);
  });

  test('everybody may use a proxy that others reach, unless a setting limits it', () => {
    const open = [expect.stringContaining('everybody who reaches this proxy may use it')];
    expect(warnings({ LISTEN: '' })).toEqual(open);
    expect(warnings({ LISTEN: '[::]:3128' })).toEqual(open);
    expect(warnings({ LISTEN: '', DENY_CLIENTS: '192.0.2.1' })).toEqual(open);
    expect(warnings({ LISTEN: '[::1]:3128' })).toEqual([]);
    expect(warnings({ LISTEN: '', ALLOW_CLIENTS: '10.0.0.0/8' })).toEqual([]);
    expect(warnings({ LISTEN: '', PROXY_USERS_FILE: '/etc/users' })).toEqual([]);
    expect(warnings({ LISTEN: '', ACCESS_RULES: '[{"access":"allow"}]' })).toEqual([]);
  });

  test('a rule names users and nobody can log in', () => {
    const rules = '[{"access":"deny","clients":"192.0.2.1"},{"access":"allow","users":"alice"}]';
    expect(warnings({ ACCESS_RULES: rules })).toEqual([
      'rule 2 of ACCESS_RULES names users, and nobody can log in; set PROXY_USERS_FILE',
    ]);
    expect(warnings({ ACCESS_RULES: rules, PROXY_USERS_FILE: '/etc/users' })).toEqual([]);
  });

  test('the moving tags that the second tier of docker-registry-proxy freezes are named', () => {
    expect(warnings(cached)).toEqual([
      'tags that move, such as 22.04, 3.19, 3.11-slim, 1.25 and sha256-<hex>.sig, are served for 60 days without asking (MANIFEST_CACHE_SECONDARY_TIME); narrow MANIFEST_CACHE_SECONDARY_REGEX, or add TAG_RULES',
    ]);
  });

  test.each([
    { MANIFEST_CACHE_SECONDARY_TIME: '1d' },
    { MANIFEST_CACHE_SECONDARY_REGEX: 'v\\d+\\.\\d+\\.\\d+$' },
    { TAG_RULES: '[{"tag":"/^[0-9]/","fresh":"1h"},{"tag":"*.sig","revalidate":true}]' },
    { TAG_RULES: '[{"fresh":"60d"}]' },
  ])('none where no tier freezes one, or a rule decides: %j', (env) => {
    expect(warnings({ ...cached, ...env })).toEqual([]);
  });

  test('a rule for some registries, or without a time, leaves the others to the tier', () => {
    const rules = '[{"registry":"docker.io","tag":"*","fresh":"1h"},{"tag":"*","grace":"1h"}]';
    expect(warnings({ ...cached, TAG_RULES: rules })).toEqual([expect.stringContaining('22.04')]);
  });

  test('each tier is told for itself', () => {
    const env = {
      ...cached,
      MANIFEST_CACHE_PRIMARY_REGEX: '3',
      MANIFEST_CACHE_PRIMARY_TIME: '36h',
      MANIFEST_CACHE_DEFAULT_TIME: '7d',
    };
    expect(warnings(env).map((text) => text.replace(/ without.*/, ''))).toEqual([
      'tags that move, such as 3.19 and 3.11-slim, are served for 1.5 days',
      'tags that move, such as 22.04, 1.25 and sha256-<hex>.sig, are served for 60 days',
      'tags that move, such as latest, are served for 7 days',
    ]);
  });

  test('certificates that are not verified, and no upstream', () => {
    expect(warnings({ VERIFY_SSL: 'false', OFFLINE: 'true' })).toEqual([
      expect.stringContaining('VERIFY_SSL=false'),
      expect.stringContaining('OFFLINE=true'),
    ]);
  });

  test('credentials are told by their hosts, never by user or password', () => {
    const [warning = ''] = warnings({ AUTH_REGISTRIES: 'a.io:someone:pass b.io:someone:pass' });
    expect(warning).toContain('for a.io and b.io open');
    expect(warning).not.toMatch(/someone|pass\b/);
  });

  test('pushes on the credentials of the proxy', () => {
    const env = { ALLOW_PUSH: 'true', AUTH_REGISTRIES: 'a.io:someone:pass' };
    expect(warnings(env)).toEqual([
      expect.stringContaining('a.io'),
      expect.stringContaining('ALLOW_PUSH_WITH_OWN_AUTH=true'),
    ]);
    expect(warnings({ ...env, ALLOW_PUSH_WITH_OWN_AUTH: 'true' })).toHaveLength(1);
    expect(warnings({ ALLOW_PUSH: 'true' })).toEqual([]);
  });
});
