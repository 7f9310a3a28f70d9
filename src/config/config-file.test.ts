import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { loadConfig, type LoadedConfig } from './config.ts';
import { readConfigFile } from './config-file.ts';
import type { Environment, Files } from './setting-text.ts';
import type { Setting } from './setting.ts';
import { SETTING_NAMES, SETTINGS } from './settings.ts';

const FILE = '/etc/breakwater.yaml';

function disk(yaml: string): Files {
  return {
    isFolder: () => false,
    read(path) {
      if (path === FILE) return yaml;
      if (path === '/run/secret') return 'from-a-secret-file\n';
      throw new Error(`ENOENT: ${path}`);
    },
  };
}

const load = (yaml: string, env: Environment = {}): LoadedConfig =>
  loadConfig({ CONFIG_FILE: FILE, ...env }, disk(yaml));

function refusal(yaml: string, env: Environment = {}): string {
  try {
    load(yaml, env);
  } catch (error) {
    if (error instanceof BreakwaterError && error.code === 'SETTING_INVALID') return error.message;
    throw error;
  }
  return 'accepted';
}

/** The first line of each problem, without its indentation. */
const headings = (yaml: string, env: Environment = {}): readonly string[] =>
  refusal(yaml, env)
    .split('\n')
    .filter((line) => /^ {2}\S/.test(line))
    .map((line) => line.trim());

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
      listen: { host: '0.0.0.0', port: 3128 },
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

describe('problems', () => {
  test('are told all at once, with line and column, those of the environment behind them', () => {
    const yaml = [
      'cache:',
      '  max_size: much',
      '  max_siz: 1g',
      'registries:',
      '  intercept:',
      '    - quay.io',
      '    - https://',
      'tags:',
      '  rules:',
      '    - tag: a',
      '      fresh: soon',
      'timeouts: 5s',
      'log: { level: [info] }',
    ].join('\n');
    expect(headings(yaml, { DEBUG: '1' })).toEqual([
      `${FILE}:2:3: cache.max_size: much`,
      `${FILE}:3:3: cache.max_siz`,
      `${FILE}:7:7: registries.intercept`,
      `${FILE}:11:7: tags.rules`,
      `${FILE}:12:11: timeouts`,
      `${FILE}:13:8: log.level`,
      'DEBUG=1',
    ]);
  });

  test.each([
    ['cache: { max_siz: 1g }', 'did you mean max_size?'],
    ['cach: { max_size: 1g }', 'did you mean cache?'],
    ['max_size: 1g', 'did you mean cache.max_size?'],
    ['cache.max_size: 1g', 'did you mean cache.max_size?'],
    ['CACHE_MAX_SIZE: 1g', 'did you mean cache.max_size?'],
    ['CACHE_DEFAULT_TIME: 1h', 'did you mean manifests.default_time?'],
    ['CONFIG_FILE: /other', 'the key "CONFIG_FILE" is not known\n'],
    ['"": 1', 'the key "" is not known\n'],
    ['__proto__: 1', 'the key "__proto__" is not known\n'],
    ['cache: { x: 1 }', 'Write one of directory, max_size, '],
  ])('an unknown key: %s', (yaml, said) => {
    expect(refusal(yaml)).toContain(said);
  });

  test('a key that stands twice', () => {
    expect(headings('cache:\n  max_size: 1g\n  max_size: 2g\n')).toEqual([`${FILE}:3:3`]);
    expect(refusal('log: { level: info }\nlog: { level: warn }\n')).toContain('stands twice');
    expect(refusal('tags: { rules: [{ fresh: 1h, fresh: 2h }] }')).toContain('stands twice');
  });

  test.each([
    ['cache:\n\tmax_size: 1g\n', '2:1', 'Tabs are not allowed'],
    ['cache: [1\n', '2:1', 'Flow sequence'],
    ['a: b: c\n', '1:4', 'Nested mappings'],
    ['- cache\n', '1:1', 'it is not a mapping'],
    ['cache\n', '1:1', 'it is not a mapping'],
    ['log: {}\n---\nlog: {}\n', '2:1', 'more than one document'],
  ])('text that is no such YAML: %j', (yaml, place, said) => {
    expect(headings(yaml)).toEqual([`${FILE}:${place}`]);
    expect(refusal(yaml)).toContain(said);
  });

  test('what contradicts itself is told where it stands', () => {
    expect(headings('ca:\n  key_file: /k\n')).toEqual([`${FILE}:2:3: ca.key_file: /k`]);
  });

  test('a broken file hides no problem of the environment, and makes none up', () => {
    expect(headings('ca: { key_file: /k', { CA_CRT_FILE: '/c', DEBUG: '1' })).toEqual([
      `${FILE}:1:19`,
      'DEBUG=1',
    ]);
  });

  test('a file that cannot be read', () => {
    const message = 'the file that CONFIG_FILE names cannot be read: ENOENT: /none';
    expect(refusal('', { CONFIG_FILE: '/none' })).toContain(`  CONFIG_FILE=/none\n    ${message}\n`);
  });

  test.each([
    '*hunter2',
    '!hunter2',
    '!hunter2!',
    '@hunter2',
    '}hunter2',
    '&hunter2',
    '"\\hunter2"',
    '|hunter2',
  ])('a password that YAML reads as something else is refused and not shown: %s', (password) => {
    const lines = [
      'registries:',
      '  credentials:',
      `    - { host: a.io, username: u, password: ${password} }`,
    ];
    const message = refusal(lines.join('\n'));
    expect(message).toContain(`${FILE}:3:`);
    expect(message).not.toContain('hunter2');
    expect(refusal(`ca:\n  key_passphrase: ${password}\n`)).not.toMatch(/hunter2|accepted/);
  });

  test('faults of credentials name entry and key, never a value', () => {
    const message = refusal(
      'registries:\n  credentials:\n    - { host: "https://hunter2", username: u, password: p }\n    - { host: b.io, user: hunter2 }\n    - hunter2\n',
    );
    expect(message).not.toContain('hunter2');
    for (const said of [
      'entry 1: host: it is not a host name',
      'entry 2: the key "user" is not known; did you mean username?',
      'entry 2: password: it is missing',
      'entry 3: it is not a mapping',
    ]) {
      expect(message).toContain(said);
    }
    const twice = refusal(
      'registries:\n  credentials:\n  - { host: a.io, username: u, password: p }\n  - { host: A.io, username: u, password: p }\n',
    );
    expect(twice).toContain(`${FILE}:4:7: registries.credentials`);
    expect(twice).toContain('entry 2 repeats the host a.io');
  });

  test('whatever the text, it is read or told what is wrong, within it', () => {
    const word = fc.constantFrom('cache', 'max_size', 'tags', 'rules', 'tag', 'fresh', '1g', '1h', 'x');
    const mark = fc.constantFrom(
      ': ',
      '\n',
      '  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '|',
      '&a ',
      '*a',
      '#',
      '\t',
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(word, mark), { maxLength: 30 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (yaml) => {
        const lines = yaml.split(/\r\n|\n|\r/).length;
        for (const { place, reason } of readConfigFile(FILE, yaml).problems) {
          expect(reason).not.toBe('');
          expect(place?.line).toBeOneOf(Array.from({ length: lines + 1 }, (_, line) => line + 1));
        }
        refusal(yaml);
      }),
    );
  });
});
