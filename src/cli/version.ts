import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The version that the package in this folder says it has. */
export function readVersion(root: string): string {
  const description: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const known = typeof description === 'object' && description !== null && 'version' in description;
  return known ? String(description.version) : 'unknown';
}
