import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadAuthority } from '../ca/authority.ts';
import type { Config, LoadedConfig } from '../config/config.ts';
import { SETTING_NAMES } from '../config/settings.ts';
import { BreakwaterError } from '../registry/errors.ts';
import { runCli, type CliOptions } from './run-cli.ts';

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(line: string, options: Partial<CliOptions> = {}): Promise<Run> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli({
    argv: line.split(' ').filter((word) => word !== ''),
    env: {},
    version: '1.2.3',
    serve: async () => undefined,
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    ...options,
  });
  return { code, out: out.join(''), err: err.join('') };
}

const emptyFolder = () => mkdtempSync(join(tmpdir(), 'breakwater-cli-'));

describe('serve', () => {
  test.each(['', 'serve'])('runs the proxy with the settings: "breakwater %s"', async (line) => {
    const served: Config[] = [];
    const serve = async ({ config }: LoadedConfig) => void served.push(config);
    expect(await run(line, { env: { CACHE_MAX_SIZE: '1g' }, serve })).toEqual({ code: 0, out: '', err: '' });
    expect(served.map(({ cacheMaxSize }) => cacheMaxSize)).toEqual([2 ** 30]);
  });

  test('gives the exit code of the proxy', async () => {
    expect(await run('serve', { serve: async () => 7 })).toMatchObject({ code: 7 });
  });

  test('is not reached with settings that cannot be used', async () => {
    const serve = () => Promise.reject(new Error('served'));
    const { code, out, err } = await run('', { env: { CACHE_MAX_SIZE: 'much' }, serve });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('breakwater: One setting cannot be used:\n  CACHE_MAX_SIZE=much\n');
  });

  test('a named failure is told in two lines', async () => {
    const failure = new BreakwaterError('LISTEN_FAILED', 'port 3128 is taken', {
      mend: 'Set LISTEN to another.',
    });
    const { code, err } = await run('', { serve: () => Promise.reject(failure) });
    expect({ code, err }).toEqual({
      code: 2,
      err: 'breakwater: port 3128 is taken\nSet LISTEN to another.\n',
    });
  });

  test('an unexpected failure exits 1 and shows its trace', async () => {
    const { code, err } = await run('', { serve: () => Promise.reject(new Error('odd')) });
    expect(code).toBe(1);
    expect(err).toMatch(/^breakwater: unexpected failure: Error\n.*errors\.md\.\nError\n +at /);
  });
});

describe('config', () => {
  test('check tells that all is well', async () => {
    expect(await run('config check', { env: { DEBUG: 'true' } })).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 set, '),
    });
  });

  test('check exits 2 where it is not', async () => {
    expect(await run('config check', { env: { DEBUG: '1' } })).toMatchObject({ code: 2, out: '' });
  });

  test('show tells value and source, secrets masked', async () => {
    const env = { AUTH_REGISTRIES: 'a.io:user:hunter2', CACHE_INACTIVE_TIME: '5d' };
    const { code, out } = await run('config show', { env });
    expect(code).toBe(0);
    expect(out).toMatch(/^SETTING +VALUE +SOURCE +A CHANGE NEEDS\n/);
    expect(out).toMatch(/^CACHE_MAX_SIZE +32g +default +reload$/m);
    expect(out).toMatch(/^CACHE_INACTIVE +5d +environment \(CACHE_INACTIVE_TIME\) +reload$/m);
    expect(out).toMatch(/^AUTH_REGISTRIES +\[redacted\] +environment +reload$/m);
    expect(out).toMatch(/^AUTH_REGISTRIES_DELIMITER +" " +default +reload$/m);
    expect(out).not.toContain('hunter2');
  });

  test('show tells the line of the file, and check its line and column', async () => {
    const file = join(emptyFolder(), 'breakwater.yaml');
    const passphrase = join(emptyFolder(), 'passphrase');
    writeFileSync(file, 'cache:\n  max_size: 1g\ntags:\n  rules: [{ tag: a, fresh: 1h }]\n');
    writeFileSync(passphrase, 'hunter2');
    const env = { CONFIG_FILE: file, CACHE_MIN_FREE: '1g', CA_KEY_PASSPHRASE_FILE: passphrase };
    const { out } = await run('config show', { env });
    expect(out).toContain(` file ${file}:2 `);
    expect(out).toMatch(/^CACHE_MIN_FREE +1g +environment +reload$/m);
    expect(out).toMatch(/^TAG_RULES +\[\{"tag":"a","fresh":"1h"\}\] +file .*:4 +reload$/m);
    expect(out).toMatch(/^CA_KEY_PASSPHRASE +\[redacted\] +file \(CA_KEY_PASSPHRASE_FILE\) +restart$/m);
    const json: unknown = JSON.parse((await run('config show --format json', { env })).out);
    expect(json).toContainEqual({
      setting: 'CACHE_MAX_SIZE',
      value: '1g',
      source: 'file',
      variable: 'CACHE_MAX_SIZE',
      place: { file, line: 2, column: 3 },
      takesEffect: 'reload',
    });
    writeFileSync(file, 'cache:\n  max_size: much\n');
    const { code, err } = await run('config check', { env });
    expect(code).toBe(2);
    expect(err).toContain(`  ${file}:2:3: cache.max_size: much\n`);
  });

  test('show --format json is for programs', async () => {
    const { out } = await run('config show --format json', { env: { LISTEN: ':1' } });
    const rows: unknown = JSON.parse(out);
    expect(rows).toHaveLength(SETTING_NAMES.length);
    expect(rows).toContainEqual({
      setting: 'LISTEN',
      value: ':1',
      source: 'environment',
      variable: 'LISTEN',
      takesEffect: 'restart',
    });
    expect(rows).toContainEqual({
      setting: 'EXTRA_CA_FILE',
      value: null,
      source: 'default',
      variable: 'EXTRA_CA_FILE',
      takesEffect: 'reload',
    });
  });

  test('docs works whatever the settings hold', async () => {
    expect(await run('config docs', { env: { DEBUG: '1' } })).toMatchObject({
      code: 0,
      out: expect.stringContaining('# Configuration'),
    });
  });
});

describe('settings as flags', () => {
  test('win over the environment, and that over the file', async () => {
    const file = join(emptyFolder(), 'breakwater.yaml');
    writeFileSync(file, 'cache:\n  max_size: 1g\n  min_free: 1g\n  inactive: 1d\n');
    const env = { CACHE_MAX_SIZE: '2g', CACHE_MIN_FREE: '2g' };
    const { code, out } = await run(`config show --config ${file} --cache-max-size 3g`, { env });
    expect(code).toBe(0);
    expect(out).toMatch(/^CONFIG_FILE .* flag \(--config\) +restart$/m);
    expect(out).toMatch(/^CACHE_MAX_SIZE +3g +flag \(--cache-max-size\) +reload$/m);
    expect(out).toMatch(/^CACHE_MIN_FREE +2g +environment +reload$/m);
    expect(out).toMatch(/^CACHE_INACTIVE +1d +file .*:4 +reload$/m);
  });

  test.each(['serve --cache-max-size 3g', '--cache-max-size=3g'])('reach the proxy: %s', async (line) => {
    const served: Config[] = [];
    const serve = async ({ config }: LoadedConfig) => void served.push(config);
    expect(await run(line, { serve })).toMatchObject({ code: 0 });
    expect(served.map(({ cacheMaxSize }) => cacheMaxSize)).toEqual([3 * 2 ** 30]);
  });

  test('hold when the configuration is read again', async () => {
    const file = join(emptyFolder(), 'breakwater.yaml');
    writeFileSync(file, 'cache:\n  max_size: 1g\n  min_free: 1g\n');
    const serve: CliOptions['serve'] = async (_, read) => {
      writeFileSync(file, 'cache:\n  max_size: 2g\n  min_free: 2g\n');
      const { config } = read();
      return config.cacheMaxSize === 3 * 2 ** 30 && config.cacheMinFree === 2 ** 31 ? 42 : 1;
    };
    const { code } = await run(`--config ${file} --cache-max-size 3g`, { serve });
    expect(code).toBe(42);
  });

  test('that cannot be used are named as they were typed', async () => {
    const { code, err } = await run('config check --cache-max-size much');
    expect(code).toBe(2);
    expect(err).toContain('  --cache-max-size=much\n');
  });

  test.each(['--auth-registries=a.io:user:hunter2', '--ca-key-passphrase=hunter2'])(
    'are no way for secrets, which are not repeated either: %s',
    async (flag) => {
      const { code, err } = await run(`serve ${flag}`);
      expect(code).toBe(2);
      expect(err).toContain('unknown option');
      expect(err).not.toContain('hunter2');
    },
  );
});

describe('ca show', () => {
  test('makes nothing where there is no authority, and exits 1', async () => {
    const folder = emptyFolder();
    const { code, out, err } = await run('ca show', { env: { CA_DIR: folder } });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(`there is no certificate authority at ${join(folder, 'ca.crt')}`);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('shows the one there is', async () => {
    const folder = emptyFolder();
    const { subject, fingerprint256, notAfter } = await loadAuthority({ directory: folder });
    const env = { CA_DIR: folder };
    const { code, out } = await run('ca show', { env });
    expect(code).toBe(0);
    for (const text of [subject, fingerprint256, notAfter.toISOString(), join(folder, 'ca.crt')]) {
      expect(out).toContain(text);
    }
    const json: unknown = JSON.parse((await run('ca show --format json', { env })).out);
    expect(json).toEqual({
      subject,
      fingerprint256,
      notAfter: notAfter.toISOString(),
      path: join(folder, 'ca.crt'),
    });
  });
});

describe('the command line itself', () => {
  test.each(['version', '--version', '-V'])('%s prints the version', async (line) => {
    expect(await run(line)).toEqual({ code: 0, out: 'breakwater 1.2.3\n', err: '' });
  });

  test.each(['--help', 'serve --help', 'config --help', 'config show -h', 'ca show --help'])(
    '%s prints help on standard output',
    async (line) => {
      const { code, out, err } = await run(line);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toMatch(/^Usage: breakwater/);
    },
  );

  test.each([
    ['confg', "unknown command 'confg'"],
    ['config shw', "unknown command 'shw' (Did you mean show?)"],
    ['--bad', "unknown option '--bad'"],
    ['serve --bad', "unknown option '--bad'"],
    ['serve more', 'too many arguments'],
    ['config show --format xml', "argument 'xml' is invalid"],
  ])('%s exits 2 and says what and how to mend it, in two lines', async (line, what) => {
    const { code, out, err } = await run(line);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(what);
    expect(err).toMatch(/^breakwater: .*\n.*--help.*\n$/);
  });

  test('a noun without its verb exits 2 and prints the help of the noun', async () => {
    const { code, out, err } = await run('config');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^Usage: breakwater config/);
  });
});
