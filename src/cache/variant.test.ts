import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { variantOf } from './variant.ts';

const OCI = 'application/vnd.oci.image.';
const DOCKER = 'application/vnd.docker.distribution.manifest.';
const FOUR = [`${OCI}index.v1+json`, `${OCI}manifest.v1+json`, `${DOCKER}list.v2+json`, `${DOCKER}v2+json`];

describe('variantOf', () => {
  test("is the same for all of today's clients", () => {
    const docker = [...FOUR, 'application/json', `${DOCKER}v1+prettyjws`].join(', ');
    const containerd = [...FOUR.toReversed(), '*/*'].join(', ');
    const skopeo = [...FOUR, `${DOCKER}v1+prettyjws`, `${DOCKER}v1+json`].join(',');
    expect(new Set([docker, containerd, skopeo].map(variantOf)).size).toBe(1);
  });

  test('does not depend on order, case, spacing, repetition or weight', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(FOUR, { minLength: 1 }), fc.boolean(), (types, upper) => {
        const text = types.map((type) => ` ${upper ? type.toUpperCase() : type} ;q=0.5`).join(',');
        expect(variantOf(`${text},${types[0]}`)).toBe(variantOf(types.toSorted().join(',')));
      }),
    );
  });

  test.each([
    [FOUR.join(','), FOUR.slice(1).join(',')],
    [`${OCI}index.v1+json`, `${DOCKER}list.v2+json`],
    [FOUR.join(','), '*/*'],
    [undefined, FOUR.join(',')],
    ['*/*', `${DOCKER}v1+prettyjws`],
    [FOUR.join(','), `${FOUR.slice(1).join(',')},${FOUR[0]};q=0`],
  ])('tells %s from %s', (one, other) => {
    expect(variantOf(one)).not.toBe(variantOf(other));
  });
});
