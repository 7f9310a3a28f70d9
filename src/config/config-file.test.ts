import { describe, expect, test } from 'vitest';
import { FILE, load } from './config-file.fixture.ts';
import type { Environment } from './setting-text.ts';
import type { Setting } from './setting.ts';
import { SETTING_NAMES, SETTINGS } from './settings.ts';

describe('values', () => {
  test('a scalar is the text it was written as', () => {
    const { config } = load(
      [
        'cache: { max_size: 32g, min_free: 1024 }',
        'listen: { address: :3128 }',
        'push: { allowed: true }',
        'tags: { stale: 60d, check_interval: 5 }',
        'manifests:',
        '  secondary: { regex: 3.10 }',
        'registries: { credentials_delimiter: " ; " }',
      ].join('\n'),
    );
    expect(config).toMatchObject({
      cacheMaxSize: 32 * 2 ** 30,
      cacheMinFree: 1024,
      listen: [{ host: '0.0.0.0', port: 3128 }],
      allowPush: true,
      tagStaleTime: 60 * 86_400_000,
      tagCheckInterval: 5000,
      manifestCacheSecondaryRegex: { source: '3.10' },
      credentialsDelimiter: ' ; ',
    });
  });

  test.each([
    'registries:\n  intercept:\n    - quay.io\n    - http://plain.local:5001\n',
    'registries: { intercept: quay.io http://plain.local:5001 }',
    'registries:\n  intercept: >\n    quay.io\n    http://plain.local:5001\n',
  ])('registries are a list or one text: %j', (yaml) => {
    expect(load(yaml).config.registries.map(({ host, port }) => [host, port])).toEqual([
      ['quay.io', 443],
      ['plain.local', 5001],
    ]);
  });

  test('an empty list is none, and not the default', () => {
    expect(load('registries: { intercept: [] }').config.registries).toEqual([]);
  });

  test('rules keep their tags as text', () => {
    const { config } = load('tags:\n  rules:\n    - tag: 3.10\n      fresh: 60\n      refresh: true\n');
    expect(config.tagRules).toMatchObject([{ fresh: 60_000, refresh: true, tag: { source: '3.10' } }]);
    expect(config.tagRules[0]?.tag?.matches('3.10')).toBe(true);
  });

  test('credentials are a list of mappings, or one text with the delimiters of the file', () => {
    const list = load(
      'registries:\n  credentials:\n    - { host: A.io, username: me, password: "p:q r" }\n    - host: b.io:5000\n      username: 12\n      password: 007\n',
    );
    const text = load(
      'registries:\n  credentials: a.io|me|p:q r;b.io:5000|12|007\n  credentials_delimiter: ;\n  credential_delimiter: "|"\n',
    );
    for (const { config } of [list, text]) {
      expect(
        config.credentials.map(({ host, username, password }) => [host, username, password.reveal()]),
      ).toEqual([
        ['a.io', 'me', 'p:q r'],
        ['b.io:5000', '12', '007'],
      ]);
    }
    expect(JSON.stringify([list, text])).not.toMatch(/p:q|007/);
  });

  test('credentials may be for some repositories; Docker configurations and clouds are lists or one text', () => {
    const { config } = load(
      [
        'registries:',
        '  credentials:',
        '    - { host: quay.io, repository: team/*, username: a, password: p }',
        '    - { host: quay.io, username: b, password: p }',
        '  docker_config: ["/run/my secret", /b.json]',
        '  cloud: google=gcr.io azure=x.azurecr.io',
      ].join('\n'),
    );
    expect(config.credentials.map(({ repository }) => repository?.source)).toEqual(['team/*', undefined]);
    expect(config.dockerConfigs).toEqual(['/run/my secret', '/b.json']);
    expect(config.cloudRegistries.map(({ provider }) => provider)).toEqual(['google', 'azure']);
  });

  test.each([
    '',
    '# nothing\n',
    '---\n',
    'cache:\n',
    'cache:\n  max_size:\n',
    'cache: { max_size: ~ }',
    '{}',
  ])('what is left blank is at its default: %j', (yaml) => {
    expect(load(yaml).sources.cacheMaxSize).toMatchObject({ from: 'default', text: '32g' });
  });

  test('every setting can be written in the file, at its place', () => {
    const declared: readonly Setting<unknown>[] = SETTING_NAMES.map((name) => SETTINGS[name]);
    for (const { path, default: value } of declared) {
      if (path === undefined || typeof value !== 'string') continue;
      const yaml = path.split('.').map((key, depth) => `${'  '.repeat(depth)}${key}:`);
      const { sources } = load(`${yaml.join('\n')} ${JSON.stringify(value)}\n`);
      const places = Object.values(sources).flatMap(({ place }) => (place === undefined ? [] : [place.line]));
      expect([path, places]).toEqual([path, [yaml.length]]);
    }
  });
});

describe('what wins', () => {
  test('the environment over the file, the file over the default', () => {
    const yaml = 'cache:\n  max_size: 1g\n  min_free: 2g\n';
    const { config, sources } = load(yaml, { CACHE_MAX_SIZE: '3g' });
    expect(config).toMatchObject({ cacheMaxSize: 3 * 2 ** 30, cacheMinFree: 2 * 2 ** 30 });
    expect(sources.cacheMaxSize).toMatchObject({ from: 'environment', text: '3g' });
    expect(sources.cacheMinFree).toEqual({
      from: 'file',
      variable: 'CACHE_MIN_FREE',
      text: '2g',
      place: { file: FILE, line: 3, column: 3 },
    });
    expect(sources.cacheInactive.from).toBe('default');
  });

  test('an alias, a secret and the file of a secret over the file too; an empty variable does not', () => {
    const yaml = 'cache: { inactive: 1d, max_size: 1g }\nca: { key_passphrase: in-the-file }\n';
    expect(load(yaml, { CACHE_INACTIVE_TIME: '2d' }).config.cacheInactive).toBe(2 * 86_400_000);
    expect(load(yaml, { CACHE_MAX_SIZE: '' }).config.cacheMaxSize).toBe(2 ** 30);
    const passphrase = (env: Environment): string | undefined =>
      load(yaml, env).config.caKeyPassphrase?.reveal();
    expect(passphrase({})).toBe('in-the-file');
    expect(passphrase({ CA_KEY_PASSPHRASE: 'variable' })).toBe('variable');
    expect(passphrase({ CA_KEY_PASSPHRASE_FILE: '/run/secret' })).toBe('from-a-secret-file');
  });

  test('a value that is overridden is not complained of', () => {
    expect(load('cache: { max_size: much }', { CACHE_MAX_SIZE: '1g' }).config.cacheMaxSize).toBe(2 ** 30);
  });
});
