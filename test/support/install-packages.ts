import { ensurePackages } from '../lab/packages.ts';

/** Before any test file: files that run side by side must not install side by side. */
export async function setup(): Promise<void> {
  await ensurePackages();
}
