import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BreakwaterError } from '../registry/errors.ts';
import { loadConfig, type LoadedConfig } from './config.ts';
import type { Files } from './setting-text.ts';
import { SETTING_GROUPS, SETTING_NAMES, SETTINGS } from './settings.ts';
import type { Setting } from './setting.ts';

function files(contents: Readonly<Record<string, string>> = {}, folders: readonly string[] = []): Files {
  return {
    isFolder: (path) => folders.includes(path),
    read(path) {
      const text = contents[path];
      if (text === undefined) throw new Error(`ENOENT: ${path}`);
      return text;
    },
  };
}

const load = (env: Readonly<Record<string, string>>, disk = files()): LoadedConfig => loadConfig(env, disk);

function refusal(env: Readonly<Record<string, string>>, disk = files()): BreakwaterError {
  try {
    load(env, disk);
  } catch (error) {
    if (error instanceof BreakwaterError) return error;
    throw error;
  }
  throw new Error('the settings were accepted');
}

/** The names that a configuration has, or the code of what refused it. */
function outcome(env: Readonly<Record<string, string>>): unknown {
  try {
    return Object.keys(load(env).config);
  } catch (error) {
    return error instanceof BreakwaterError ? error.code : error;
  }
}

describe('the declarations', () => {
  const declared: readonly Setting<unknown>[] = SETTING_NAMES.map((name) => SETTINGS[name]);

  test('no two settings share a variable or a place in the file', () => {
    const variables = declared.flatMap(({ env, aliases = [], secret }) => [
      env,
      ...aliases,
      ...(secret === true ? [`${env}_FILE`] : []),
    ]);
    expect(new Set(variables).size).toBe(variables.length);
    expect(new Set(declared.map(({ path }) => path)).size).toBe(declared.length);
  });

  test('the groups hold every setting once', () => {
    expect(SETTING_GROUPS.flatMap(({ settings }) => Object.keys(settings))).toEqual(SETTING_NAMES);
  });

  test('help is one line that ends as a sentence does', () => {
    for (const { help } of declared) expect(help).toMatch(/^[A-Z][^\n]*\.$/);
  });
});

describe('loadConfig', () => {
  test('the defaults are those of docker-registry-proxy', () => {
    const { config } = load({});
    expect(config).toMatchObject({
      listen: [{ host: '0.0.0.0', port: 3128 }],
      credentials: [],
      cacheMaxSize: 32 * 2 ** 30,
      cacheInactive: 60 * 86_400_000,
      enableManifestCache: false,
      manifestCachePrimaryTime: 600_000,
      manifestCacheSecondaryTime: 60 * 86_400_000,
      manifestCacheDefaultTime: 3_600_000,
      allowPush: false,
      verifySsl: true,
      keepaliveTimeout: 300_000,
      proxyReadTimeout: 60_000,
      tagCheckInterval: 3000,
      tagStaleTime: 60 * 86_400_000,
      tagRules: [],
      rateLimitReserve: 10,
      offline: false,
      configFile: undefined,
    });
    expect(config.registries.map(({ host }) => host)).toEqual([
      'registry.k8s.io',
      'gcr.io',
      'quay.io',
      'ghcr.io',
    ]);
  });

  test('the volumes of docker-registry-proxy are used where they are mounted', () => {
    const { config } = load({}, files({}, ['/ca', '/docker_mirror_cache']));
    expect([config.caDir, config.cacheDir]).toEqual(['/ca', '/docker_mirror_cache']);
    expect([load({}).config.caDir, load({}).config.cacheDir]).toEqual(['./data/ca', './data/cache']);
  });

  test('the result is frozen through and through', () => {
    const { config, sources } = load({ AUTH_REGISTRIES: 'a.io:u:p' });
    for (const value of [
      config,
      config.listen,
      config.registries,
      config.registries[0],
      config.credentials[0],
      sources,
    ]) {
      expect(Object.isFrozen(value)).toBe(true);
    }
  });

  test('an alias is read, the proper name wins, and the source tells which it was', () => {
    const alias = load({ CACHE_INACTIVE_TIME: '1d', CACHE_DEFAULT_TIME: '5m' });
    expect(alias.config).toMatchObject({ cacheInactive: 86_400_000, manifestCacheDefaultTime: 300_000 });
    expect(alias.sources.cacheInactive).toEqual({
      from: 'environment',
      variable: 'CACHE_INACTIVE_TIME',
      text: '1d',
    });
    const both = load({ CACHE_INACTIVE_TIME: '1d', CACHE_INACTIVE: '2d' });
    expect(both.config.cacheInactive).toBe(2 * 86_400_000);
  });

  test('an empty variable is unset, quoted or not', () => {
    const { config, sources } = load({ CACHE_MAX_SIZE: '', REGISTRIES: '""' });
    expect(config.cacheMaxSize).toBe(32 * 2 ** 30);
    expect(config.registries).toHaveLength(4);
    expect(sources.registries.from).toBe('default');
  });

  test('quotes that compose leaves around a value are taken off', () => {
    const { config } = load({ ENABLE_MANIFEST_CACHE: '"true"', CACHE_MAX_SIZE: "'1g'", ALLOW_PUSH: 'TRUE' });
    expect(config).toMatchObject({ enableManifestCache: true, cacheMaxSize: 2 ** 30, allowPush: true });
  });

  test('the delimiters of the credentials are those that are set', () => {
    const { config } = load({
      AUTH_REGISTRIES: 'a.io:::u:::p q;;;b.io:::u:::r',
      AUTH_REGISTRIES_DELIMITER: '";;;"',
      AUTH_REGISTRY_DELIMITER: ':::',
    });
    expect(config.credentials.map(({ password }) => password.reveal())).toEqual(['p q', 'r']);
  });

  test('a secret is read from a file, one line end taken off', () => {
    const disk = files({ '/run/pass': 'word \n', '/run/auth': 'a.io:u:p\nb.io:u:p\n' });
    const { config, sources } = load(
      { CA_KEY_PASSPHRASE_FILE: '/run/pass', AUTH_REGISTRIES_FILE: '/run/auth' },
      disk,
    );
    expect(config.caKeyPassphrase?.reveal()).toBe('word ');
    expect(config.credentials).toHaveLength(2);
    expect(sources.caKeyPassphrase).toEqual({
      from: 'secret-file',
      variable: 'CA_KEY_PASSPHRASE_FILE',
      text: '[redacted]',
    });
  });

  test('a secret given twice, or in a file that cannot be read, is refused', () => {
    const twice = refusal({ CA_KEY_PASSPHRASE: 'a', CA_KEY_PASSPHRASE_FILE: '/x' });
    expect(twice.message).toContain('CA_KEY_PASSPHRASE and CA_KEY_PASSPHRASE_FILE are both set');
    expect(refusal({ CA_KEY_PASSPHRASE_FILE: '/x' }).message).toContain('cannot be read: ENOENT: /x');
  });

  test('every problem is told at once: what was written, why it cannot be used, how to mend it', () => {
    const error = refusal({
      CACHE_MAX_SIZE: '32 gb',
      DEBUG: 'yes',
      CA_KEY_FILE: '/k',
      CACHE_INACTIVE_TIME: 'x',
    });
    expect(error.code).toBe('SETTING_INVALID');
    expect(error.message).toBe(
      [
        '4 settings cannot be used:',
        '  CACHE_MAX_SIZE=32 gb',
        '    it is not a size',
        '    Write digits and one unit of k, m, g or t, e.g. 32g or 500M.',
        '  CACHE_INACTIVE_TIME=x',
        '    it is not a time',
        '    Write numbers with the units y M w d h m s ms, e.g. 60s, 10m, 1h 30m or 60d.',
        '  DEBUG=yes',
        '    it is neither true nor false',
        '    Write true or false.',
        '  CA_KEY_FILE=/k',
        '    CA_CRT_FILE is not set',
        '    Set CA_CRT_FILE too: a certificate and its key belong together.',
      ].join('\n'),
    );
  });

  test('a certificate whose key cannot be used is told once', () => {
    expect(refusal({ CA_CRT_FILE: '/c', CA_KEY_FILE: ' ' }).message).toMatch(/^One setting/);
  });

  test('no message and no source holds a secret', () => {
    const secret = 's3cr3t';
    expect(refusal({ AUTH_REGISTRIES: `a.io:${secret}` }).message).not.toContain(secret);
    const loaded = load({ AUTH_REGISTRIES: `a.io:u:${secret}`, CA_KEY_PASSPHRASE: secret });
    expect(JSON.stringify(loaded)).not.toContain(secret);
  });

  test('rules are JSON in the environment, and each of their faults is told', () => {
    const { config } = load({ TAG_RULES: '[{"tag":"*-nightly","revalidate":true}]' });
    expect(config.tagRules).toMatchObject([{ revalidate: true, tag: { source: '*-nightly' } }]);
    expect(Object.isFrozen(config.tagRules[0])).toBe(true);
    const { message } = refusal({ TAG_RULES: '[{"fresh":"x"},{"refresh":true}, 7]' });
    expect(message).toMatch(/^2 settings.*\n {2}TAG_RULES=\[.*\n {4}rule 1: fresh: it is not a time\n/);
    expect(message).toContain('rule 3: it is not a mapping');
  });

  test.each(['-1', '1.5', 'ten', '9007199254740993'])('a reserve of %s is no whole number', (text) => {
    expect(refusal({ RATE_LIMIT_RESERVE: text }).message).toContain('it is not a whole number');
  });

  test('whatever the variables hold, there is a configuration or one named failure', () => {
    const names = SETTING_NAMES.map((name) => SETTINGS[name].env);
    const value = fc.oneof(fc.string(), fc.constantFrom('true', '1g', '10s', 'a.io', '"', ';;;', '(', '0'));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), (env) => {
        expect(outcome(env)).toEqual(expect.toBeOneOf([SETTING_NAMES, 'SETTING_INVALID']));
      }),
    );
  });
});
