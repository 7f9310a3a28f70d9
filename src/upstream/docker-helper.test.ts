import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { askDockerHelper } from './docker-helper.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-helper-'));
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const helper = (script: string): void =>
  writeFileSync(join(folder, 'docker-credential-x'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });

test('a helper that takes too long is ended, and what it started does not hold it up', async () => {
  helper('sleep 60');
  const asked = askDockerHelper('x', 'a.io', 200);
  await expect(asked).rejects.toMatchObject({ code: 'CREDENTIALS_UNAVAILABLE' });
  await expect(asked).rejects.toThrow('docker-credential-x took too long');
});

test('Docker Hub has its name of old', async () => {
  helper(`read -r host; printf '{"Username":"%s","Secret":"s"}' "$host"`);
  const { value } = await askDockerHelper('x', 'registry-1.docker.io');
  expect(value).toMatchObject({ kind: 'password', username: 'https://index.docker.io/v1/' });
});

test('the user <token> marks an identity token', async () => {
  helper(`printf '{"Username":"<token>","Secret":"s"}'`);
  const { value } = await askDockerHelper('x', 'a.io');
  expect(value?.kind).toBe('refresh-token');
});
