import { describe, expect, test } from 'vitest';
import { parseCloudRegistries, readCloudRegistries } from './cloud-registries.ts';

describe('registries of clouds', () => {
  test('are a list of providers and hosts', () => {
    const expected = [
      { provider: 'ecr', host: '*.dkr.ecr.eu-west-1.amazonaws.com' },
      { provider: 'google', host: 'europe-docker.pkg.dev' },
      { provider: 'azure', host: 'team.azurecr.io:8443' },
    ];
    const text =
      'ecr=*.dkr.ecr.eu-west-1.amazonaws.com, google=Europe-docker.pkg.dev\nazure=team.azurecr.io:8443';
    expect(parseCloudRegistries(text)).toEqual(expected);
    expect(readCloudRegistries(text.split(/[\s,]+/))).toEqual(expected);
    expect(parseCloudRegistries('')).toEqual([]);
  });

  test.each([
    'team.azurecr.io',
    'aws=a.io',
    'ecr=',
    'ecr=*',
    'ecr=https://a.io',
    'google=a..io',
    'ecr=a*.io',
  ])('are not %s', (text) => {
    expect(() => parseCloudRegistries(text)).toThrow('is not a registry of a cloud');
  });
});
