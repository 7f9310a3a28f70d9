import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRepositoryName } from '../registry/name.ts';
import { createAcceptanceTable } from '../store/index/acceptance-table.ts';
import { openIndex, type Index } from '../store/index/database.ts';
import { authorizationKey } from '../upstream/identity.ts';
import { createAcceptance, type Acceptance } from './acceptance.ts';
import { createIdentitySeal } from './identity-seal.ts';

const REPOSITORY = parseRepositoryName('team/app');
const OTHER = parseRepositoryName('team/other');
const HOUR = 3_600_000;

let folder: string;
let index: Index;
let acceptance: Acceptance;
let time: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-acceptance-'));
  time = 1_000_000_000;
  open('secret');
});

afterEach(() => {
  index.close();
  rmSync(folder, { recursive: true });
});

function open(secret: string): void {
  index = openIndex(join(folder, 'index.sqlite'));
  const fail = (error: unknown): never => {
    throw error;
  };
  const table = createAcceptanceTable(
    index.database,
    () => 12 * HOUR,
    () => time,
    fail,
  );
  acceptance = createAcceptance(table, createIdentitySeal(Buffer.from(secret)), () => time);
}

function restart(secret = 'secret'): void {
  index.close();
  open(secret);
}

const isAccepted = (leash: number, identity = 'alice', registry = 'quay.io', repository = REPOSITORY) =>
  acceptance.isAccepted(identity, registry, repository, leash);

test("counts for one user, registry and repository, and for the asker's time", () => {
  acceptance.accepted('alice', 'quay.io', REPOSITORY);
  time += 59_999;
  expect(isAccepted(60_000)).toBe(true);
  expect(isAccepted(60_000, 'bob')).toBe(false);
  expect(isAccepted(60_000, 'alice', 'ghcr.io')).toBe(false);
  expect(isAccepted(60_000, 'alice', 'quay.io', OTHER)).toBe(false);
  time += 1;
  expect(isAccepted(60_000)).toBe(false);
  expect(isAccepted(61_000)).toBe(true);
  acceptance.accepted('alice', 'quay.io', REPOSITORY);
  expect(isAccepted(60_000)).toBe(true);
});

test('counts after a restart, from about the last time', () => {
  for (let turn = 0; turn < 10; turn += 1) {
    acceptance.accepted('alice', 'quay.io', REPOSITORY);
    time += 30_000;
  }
  restart();
  expect(isAccepted(91_000)).toBe(true);
  expect(isAccepted(60_000, 'bob')).toBe(false);
  time += 12 * HOUR;
  restart();
  expect(isAccepted(Infinity)).toBe(false);
});

test('is over with a refusal, a restart or none', () => {
  acceptance.accepted('alice', 'quay.io', REPOSITORY);
  acceptance.refused('alice', 'quay.io', REPOSITORY);
  expect(isAccepted(HOUR)).toBe(false);
  restart();
  expect(isAccepted(HOUR)).toBe(false);
  acceptance.accepted('alice', 'quay.io', REPOSITORY);
  restart();
  acceptance.refused('alice', 'quay.io', REPOSITORY);
  restart();
  expect(isAccepted(HOUR)).toBe(false);
});

test('does not count from a time that is yet to come', () => {
  acceptance.accepted('alice', 'quay.io', REPOSITORY);
  time -= 1;
  expect(isAccepted(HOUR)).toBe(false);
});

test('lies on the disk under a key that means nothing without the secret', () => {
  const identity = authorizationKey(`Basic ${Buffer.from('alice:secret').toString('base64')}`);
  acceptance.accepted(identity, 'quay.io', REPOSITORY);
  restart('another secret');
  expect(isAccepted(HOUR, identity)).toBe(false);
  const files = ['index.sqlite', 'index.sqlite-wal'].map((name) =>
    readFileSync(join(folder, name), 'latin1'),
  );
  expect(files.join('')).toContain('team/app');
  expect(files.join('')).not.toContain(identity);
});
