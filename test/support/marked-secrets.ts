import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Stands in every secret of the tests, so that one that got to the wrong place is found there. */
const MARK = 'marked-secret';

/** A password, token, passphrase or signature. */
export type MarkedSecret = `${string}${typeof MARK}-${string}`;

/** A secret that can be told from others by its name. */
export function markedSecret(name: string): MarkedSecret {
  return `${MARK}-${name}`;
}

/** How a mark looks: as it is, which URL encoding leaves alone, and in Base64 wherever in a text it begins. */
const FORMS: readonly Buffer[] = [
  Buffer.from(MARK),
  Buffer.from(Buffer.from(MARK).toString('hex')),
  ...[0, 1, 2].map((before) => base64Inside(before)),
];

/** The characters that are the same whatever stands around the mark; both alphabets have them. */
function base64Inside(before: number): Buffer {
  const text = Buffer.from('x'.repeat(before) + MARK).toString('base64url');
  const first = Math.ceil((before * 8) / 6);
  const end = Math.floor(((before + MARK.length) * 8) / 6);
  return Buffer.from(text.slice(first, end));
}

const LONGEST_FORM = Math.max(...FORMS.map(({ length }) => length));
/** Bytes around a secret that are shown where it was found. */
const AROUND = 160;

/** Where a secret stands in what was written, with what is around it; undefined where there is none. */
export function secretIn(written: string | Buffer): string | undefined {
  const bytes = typeof written === 'string' ? Buffer.from(written) : written;
  const at = Math.max(...FORMS.map((form) => bytes.indexOf(form)));
  if (at < 0) return undefined;
  return bytes.toString('latin1', Math.max(0, at - AROUND), at + LONGEST_FORM + AROUND);
}

/** Insists that something carries the mark: without it a test could not see it leak. */
export function expectMarked(secret: string, what: string): void {
  if (secretIn(secret) === undefined)
    throw new Error(`${what} is a secret without "${MARK}" in it: ${secret}`);
}

/** The variables whose values are secrets or hold some. */
const SECRET_SETTINGS = ['AUTH_REGISTRIES', 'CA_KEY_PASSPHRASE'];

export function expectMarkedSettings(env: Readonly<Record<string, string | undefined>>): void {
  for (const name of SECRET_SETTINGS) {
    const value = env[name] ?? '';
    if (value !== '') expectMarked(value, name);
  }
}

/** Something that was written, and by what name a person knows it. */
export type Written = readonly [name: string, content: string | Buffer];

/** @throws where a secret is in what was written. */
export function expectNoSecrets(...all: readonly Written[]): void {
  const found = all
    .map(([name, content]) => [name, secretIn(content)] as const)
    .filter(([, secret]) => secret !== undefined)
    .map(([name, secret]) => `${name}: …${secret}…`);
  if (found.length > 0) throw new Error(`a secret was written to ${found.join('\n')}`);
}

/**
 * Looks for secrets in all files below a folder but those of whole blobs, which are what registries sent.
 * @throws where there is one.
 */
export async function expectNoSecretFiles(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(ignoreMissing);
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || relative(folder, path).startsWith('blobs/')) continue;
    await expectNoSecretFile(path);
  }
}

async function expectNoSecretFile(path: string): Promise<void> {
  let end = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    const bytes = Buffer.concat([end, Buffer.from(chunk)]);
    expectNoSecrets([path, bytes]);
    end = bytes.subarray(-LONGEST_FORM);
  }
}

/** A folder that was never made, or is gone. */
function ignoreMissing(error: unknown): [] {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return [];
  throw error;
}
