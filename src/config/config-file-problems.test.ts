import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FILE, headings, refusal } from './config-file.fixture.ts';
import { readConfigFile } from './config-file.ts';

describe('problems of the configuration file', () => {
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
