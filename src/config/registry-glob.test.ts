import { expect, test } from 'vitest';
import { parseRegistryGlob } from './registry-glob.ts';

test.each([
  ['quay.io', 'quay.io', true],
  ['quay.io:443', 'quay.io', true],
  ['quay.io', 'quay.io:80', true],
  ['quay.io:80', 'quay.io:80', true],
  ['quay.io:80', 'quay.io', false],
  ['quay.io', 'quay.io:5000', false],
  ['quay.io:5000', 'QUAY.io:5000', true],
  ['[::1]:5000', '[::1]:5000', true],
  ['[::1]', '[::1]:80', true],
  ['[::1]:443', '[::1]', true],
  ['docker.io', 'registry-1.docker.io', true],
])('the pattern %s and the name %s: %s', (pattern, name, matches) => {
  expect(parseRegistryGlob(pattern).matches(name)).toBe(matches);
});
