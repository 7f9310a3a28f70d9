import { expect, test } from 'vitest';
import { parseRepositoryName } from '../registry/name.ts';
import { createAcceptance } from './acceptance.ts';

const REPOSITORY = parseRepositoryName('team/app');
const OTHER = parseRepositoryName('team/other');

test("counts for one user, registry and repository, and for the asker's time", () => {
  let time = 1_000;
  const acceptance = createAcceptance(() => time);
  acceptance.accepted('alice', 'quay.io', REPOSITORY);
  time += 59_999;
  expect(acceptance.isAccepted('alice', 'quay.io', REPOSITORY, 60_000)).toBe(true);
  expect(acceptance.isAccepted('bob', 'quay.io', REPOSITORY, 60_000)).toBe(false);
  expect(acceptance.isAccepted('alice', 'ghcr.io', REPOSITORY, 60_000)).toBe(false);
  expect(acceptance.isAccepted('alice', 'quay.io', OTHER, 60_000)).toBe(false);
  time += 1;
  expect(acceptance.isAccepted('alice', 'quay.io', REPOSITORY, 60_000)).toBe(false);
  expect(acceptance.isAccepted('alice', 'quay.io', REPOSITORY, 61_000)).toBe(true);
  acceptance.accepted('alice', 'quay.io', REPOSITORY);
  expect(acceptance.isAccepted('alice', 'quay.io', REPOSITORY, 60_000)).toBe(true);
});
