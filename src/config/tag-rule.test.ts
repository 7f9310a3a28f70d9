import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StructureError, type StructureFault } from './structure.ts';
import { parseTagRules, readTagRules, type TagRule } from './tag-rule.ts';

function faultsOf(value: unknown): readonly StructureFault[] {
  try {
    readTagRules(value);
  } catch (error) {
    if (error instanceof StructureError) return error.faults;
    throw error;
  }
  return [];
}

const reasons = (...rules: readonly unknown[]): readonly string[] =>
  faultsOf(rules).map(({ reason }) => reason);

function rule(value: Readonly<Record<string, unknown>>): TagRule {
  const [only] = readTagRules([value]);
  if (only === undefined) throw new Error('no rule');
  return only;
}

describe('a rule', () => {
  test('times are in milliseconds, and what is not written is undefined', () => {
    expect(rule({ tag: '*-nightly', fresh: '10m', grace: '1h 30m', stale: '60d', refresh: true })).toEqual({
      registry: undefined,
      repository: undefined,
      tag: { source: '*-nightly', matches: expect.any(Function) },
      fresh: 600_000,
      grace: 5_400_000,
      stale: 60 * 86_400_000,
      refresh: true,
    });
  });

  test('numbers and booleans are taken as text too: the configuration file has no others', () => {
    expect(rule({ fresh: 60, revalidate: false })).toMatchObject({ fresh: 60_000, revalidate: false });
    expect(rule({ fresh: '60', revalidate: 'false' })).toMatchObject({ fresh: 60_000, revalidate: false });
  });

  test.each([
    'docker.io',
    'registry-1.docker.io',
    'index.docker.io',
    'Docker.IO',
    '*.docker.io',
    '/^docker/',
  ])('%s means Docker Hub', (registry) => {
    expect(rule({ registry }).registry?.matches('registry-1.docker.io')).toBe(true);
  });

  test('docker.io means no other registry', () => {
    const { registry } = rule({ registry: 'docker.io' });
    for (const host of ['auth.docker.io', 'mydocker.io', 'quay.io'])
      expect(registry?.matches(host)).toBe(false);
  });

  test('a registry is its host and port, in any case', () => {
    const { registry } = rule({ registry: '*.Local:5000' });
    expect(registry?.matches('REGISTRY.local:5000')).toBe(true);
    expect(registry?.matches('registry.local')).toBe(false);
  });

  test('tags have case', () => {
    expect(rule({ tag: 'V*' }).tag?.matches('v1')).toBe(false);
  });
});

describe('what cannot be used', () => {
  test('every fault is told, with the number of its rule and where it stands', () => {
    const list = [
      { fresh: '1h' },
      { tag: '/(?=a)/', fresh: 'soon', frsh: '1h' },
      'nonsense',
      { refresh: 'yes', host: 'a' },
    ];
    expect(faultsOf(list).map(({ at }) => at)).toEqual([
      [1, 'frsh'],
      [1, 'tag'],
      [1, 'fresh'],
      [2],
      [3, 'host'],
      [3, 'refresh'],
    ]);
    expect(reasons(...list)).toEqual([
      'rule 2: the key "frsh" is not known; did you mean fresh?',
      expect.stringMatching(/^rule 2: tag: the expression does not compile: /),
      'rule 2: fresh: it is not a time',
      'rule 3: it is not a mapping',
      'rule 4: the key "host" is not known',
      'rule 4: refresh: it is neither true nor false',
    ]);
  });

  test('an unknown key is answered with the list of those that are known', () => {
    expect(faultsOf([{ x: 1 }])[0]?.mend).toBe(
      'Write one of registry, repository, tag, fresh, revalidate, grace, stale, refresh.',
    );
  });

  test.each([
    [{ revalidate: true, fresh: '1h' }, 'fresh'],
    [{ revalidate: true, fresh: 0 }, 'fresh'],
    [{ revalidate: true, grace: '1h' }, 'grace'],
    [{ revalidate: true, fresh: '1h', grace: '1h', refresh: true }, 'fresh and grace and refresh'],
  ])('%j contradicts itself', (contradictory, names) => {
    expect(reasons({}, contradictory)).toEqual([
      `rule 2: revalidate asks upstream every time, which leaves no meaning to ${names}`,
    ]);
  });

  test.each([{ refresh: true }, { refresh: true, fresh: '0' }])(
    '%j has nothing to refresh',
    (contradictory) => {
      expect(reasons(contradictory)).toEqual([
        'rule 1: refresh checks a tag before its time is over, and fresh gives it none',
      ]);
    },
  );

  test.each([
    { revalidate: true, stale: '1d' },
    { revalidate: true, refresh: false },
    { revalidate: false, fresh: '1h', refresh: true },
    { registry: 'quay.io' },
    {},
  ])('%j is in order', (rule) => {
    expect(reasons(rule)).toEqual([]);
  });

  test.each(['{', 'tag', '[1,]'])('text that is no JSON: %s', (text) => {
    expect(() => parseTagRules(text)).toThrow(/^it is not JSON: /);
  });

  test.each(['{}', '"a"', 'null', '7'])('JSON that is no list: %s', (text) => {
    expect(() => parseTagRules(text)).toThrow('it is not a list');
  });

  test('whatever the value, there are rules or faults', () => {
    const key = fc.constantFrom('registry', 'tag', 'fresh', 'revalidate', 'refresh', 'x', '__proto__');
    const leaf = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom('1h', 'true', '*', '/a/'));
    const value = fc.oneof(fc.jsonValue(), fc.array(fc.oneof(fc.dictionary(key, leaf), leaf)));
    fc.assert(
      fc.property(value, (candidate) => {
        const faults = faultsOf(candidate);
        const rules = faults.length === 0 ? readTagRules(candidate).length : 'faults';
        expect(rules).toBeOneOf([Array.isArray(candidate) ? candidate.length : 0, 'faults']);
        for (const { reason, mend } of faults) {
          expect(reason).not.toBe('');
          expect(mend).toMatch(/\.$/);
        }
      }),
    );
  });
});
