import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  accepts,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  isManifestMediaType,
  OCI_ARTIFACT,
  OCI_INDEX,
  OCI_MANIFEST,
  parseMediaType,
} from './media-type.ts';

const ALL = [
  OCI_INDEX,
  OCI_MANIFEST,
  DOCKER_MANIFEST_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1_SIGNED,
  DOCKER_SCHEMA1,
  OCI_ARTIFACT,
];
const token = fc.stringMatching(/^[a-z0-9.+-]{1,12}$/);
const mediaType = fc.tuple(token, token).map(([type, subtype]) => `${type}/${subtype}`);
const parameters = fc.constantFrom('', '; charset=utf-8', ';a="b,c"', ' ; Q=0.5', ';q=1.000');

describe('a media type', () => {
  test('is read in lower case and without its parameters', () => {
    fc.assert(
      fc.property(mediaType, parameters, (type, rest) => {
        expect(parseMediaType(` ${type.toUpperCase()}${rest}`)).toBe(type);
      }),
    );
  });

  test.each([undefined, '', 'json', '/', 'a/', '/b', 'a/b/c', 'a b/c', ';a/b'])('%s is none', (header) => {
    expect(parseMediaType(header)).toBeUndefined();
  });

  test('of a manifest is known', () => {
    expect(ALL.every(isManifestMediaType)).toBe(true);
    expect(isManifestMediaType('application/octet-stream')).toBe(false);
  });
});

describe('Accept', () => {
  test('admits every type it lists, in any order and over several lines', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(mediaType, parameters), { minLength: 1 }), (items) => {
        const header = items.map(([type, rest]) => `${type}${rest}`).join(', ');
        for (const [type] of items) expect(accepts(header, type)).toBe(true);
      }),
    );
  });

  test('refuses every type that is neither listed nor under a wildcard', () => {
    fc.assert(
      fc.property(fc.array(mediaType, { minLength: 1 }), mediaType, (listed, asked) => {
        expect(accepts(listed.join(','), asked)).toBe(listed.includes(asked));
      }),
    );
  });

  test('refuses a type of weight 0 that a wildcard would admit', () => {
    const zero = fc.constantFrom('q=0', 'Q=0.0', 'q=0.000', ' q=0 ');
    const wildcard = fc.constantFrom('*/*', 'application/*');
    fc.assert(
      fc.property(fc.constantFrom(...ALL), zero, wildcard, (type, weight, any) => {
        expect(accepts(`${any}, ${type};${weight}`, type)).toBe(false);
        expect(accepts(`${type};${weight},${any}`, type)).toBe(false);
        expect(accepts(`${any};${weight}, ${type}`, type)).toBe(true);
      }),
    );
  });

  test('is never a failure, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (header, type) => {
        expect(typeof accepts(header, type)).toBe('boolean');
      }),
    );
  });

  test('admits everything where it is absent or empty', () => {
    expect(accepts(undefined, OCI_INDEX)).toBe(true);
    expect(accepts(' ', OCI_INDEX)).toBe(true);
    expect(accepts(' , ', OCI_INDEX)).toBe(true);
  });

  test('compares without case or parameters of the type asked about', () => {
    expect(accepts(OCI_INDEX.toUpperCase(), `${OCI_INDEX}; charset=utf-8`)).toBe(true);
  });
});
