import { BESIDE_BLOBS } from './beside-blobs.ts';
import { COLD_BLOB } from './cold-blob.ts';
import { CONNECTION } from './connection.ts';
import { hotBlob } from './hot-blob.ts';
import { MANIFEST } from './manifest.ts';
import type { Scenario } from './scenario.ts';
import { SMALL_BLOB } from './small-blob.ts';

/** In the order of the table. */
export const SCENARIOS: readonly Scenario[] = [
  hotBlob(1),
  hotBlob(4),
  hotBlob(16),
  SMALL_BLOB,
  MANIFEST,
  CONNECTION,
  BESIDE_BLOBS,
  COLD_BLOB,
];
