import { createHash, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from './lab/job.ts';
import { startLab, type Lab } from './lab/lab.ts';
import { startProxy } from './lab/proxy.ts';
import {
  askPlain,
} from './support/wire.ts';
import { serveCommand, startLocalProxy, temporaryFolder, tryToServe } from './support/local-proxy.ts';
