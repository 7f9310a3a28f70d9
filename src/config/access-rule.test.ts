import { describe, expect, test } from 'vitest';
import { headings, load } from './config-file.fixture.ts';
import { parseAccessRules } from './access-rule.ts';

describe('access rules', () => {
  test('are a list in the configuration file', () => {
    const { config } = load(`
access:
  rules:
    - access: deny
      clients: 192.0.2.0/24, fd00::1
    - access: allow
      clients: [10.0.0.0/8]
      users: [alice, "*-ci"]
      registry: ghcr.io
      repository: team/*
      action: push
`);
    const [first, second] = config.accessRules;
    expect(first?.clients?.sources).toEqual(['192.0.2.0/24', 'fd00::1']);
    expect(second).toMatchObject({ access: 'allow', action: 'push' });
    expect(second?.users?.map(({ source }) => source)).toEqual(['alice', '*-ci']);
    expect(second?.repository?.matches('team/app')).toBe(true);
  });

  test('name Docker Hub and its token service by one name', () => {
    const [rule] = parseAccessRules('[{"access":"allow","registry":"docker.io"}]');
    for (const host of ['registry-1.docker.io', 'auth.docker.io'])
      expect(rule?.registry?.matches(host)).toBe(true);
    expect(rule?.registry?.matches('quay.io')).toBe(false);
  });

  test('without one that allows are refused: nobody could do anything', () => {
    expect(() => parseAccessRules('[{"access":"deny","clients":"192.0.2.1"}]')).toThrow(
      'no rule allows anything',
    );
  });

  test('say where they are wrong', () => {
    const yaml = `
access:
  rules:
    - access: maybe
    - access: allow
      clients: [10.0.0.0/8, nonsense]
    - acces: allow
`;
    expect(headings(yaml)).toEqual([
      expect.stringMatching(/breakwater.yaml:4:\d+: access.rules/),
      expect.stringMatching(/breakwater.yaml:6:\d+: access.rules/),
      expect.stringMatching(/breakwater.yaml:7:\d+: access.rules/),
      expect.stringMatching(/breakwater.yaml:7:\d+: access.rules/),
    ]);
  });
});
