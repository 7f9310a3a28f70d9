import { describe, expect, test } from 'vitest';
import { parseRegistryPatterns } from '../config/registry-pattern.ts';
import { createRegistryLabels } from './registry-labels.ts';

const labels = createRegistryLabels(
  parseRegistryPatterns('quay.io *.pkg.dev *.europe.pkg.dev .example.com http://plain.test lab.test:5000'),
);

test.each([
  ['registry-1.docker.io', 443, 'registry-1.docker.io'],
  ['auth.docker.io', 443, 'auth.docker.io'],
  ['quay.io', 443, 'quay.io'],
  ['quay.io', 8443, 'other'],
  ['cdn.quay.io', 443, 'other'],
  ['us.pkg.dev', 443, '*.pkg.dev'],
  ['west.europe.pkg.dev', 443, '*.europe.pkg.dev'],
  ['pkg.dev', 443, 'other'],
  ['example.com', 443, '.example.com'],
  ['a.b.example.com', 443, '.example.com'],
  ['evilexample.com', 443, 'other'],
  ['plain.test', 80, 'plain.test:80'],
  ['lab.test', 5000, 'lab.test:5000'],
])('%s, port %i, falls under %s', (host, port, label) => {
  expect(labels.labelFor(host, port)).toBe(label);
  expect(labels.all).toContain(label);
});

describe('by the name of a registry', () => {
  test.each([
    ['quay.io', 'quay.io'],
    ['plain.test:80', 'plain.test:80'],
    ['plain.test', 'other'],
    ['lab.test:5000', 'lab.test:5000'],
    ['us.pkg.dev', '*.pkg.dev'],
    ['us.pkg.dev:444', 'other'],
    ['::1', 'other'],
  ])('%s falls under %s', (name, label) => {
    expect(labels.labelOf(name)).toBe(label);
  });
});

test('none is there twice', () => {
  const twice = createRegistryLabels(parseRegistryPatterns('registry-1.docker.io quay.io QUAY.IO'));
  expect(twice.all).toEqual(['registry-1.docker.io', 'auth.docker.io', 'quay.io', 'other']);
});
