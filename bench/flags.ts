import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

export interface Flags {
  /** Names of scenarios, or beginnings of them; empty for all. */
  readonly only: readonly string[];
  readonly runs: number;
  /** Bytes of the large blob. */
  readonly size: number;
  /** The program that is measured. */
  readonly main: string;
  /** Another copy of it to compare with in place of nginx. */
  readonly against: string | undefined;
  /** Flags of node for it. */
  readonly nodeFlags: readonly string[];
}

export const USAGE = `npm run bench -- [--only NAME]... [--runs N] [--size MiB] [--main FILE] [--against FILE]
  --only NAME       this scenario, or those whose name begins so; again for more
  --runs N          measured runs of each, their median counts (5)
  --size MiB        size of the large blob (200)
  --main FILE       measure this, not dist/main.js or, where nothing was built, src/main.ts
  --against FILE    compare with another copy of the proxy, not with nginx
  --node-flag FLAG  start the proxy's node with it in place of --max-semi-space-size=4, e.g. --node-flag=--cpu-prof`;

/** @throws where a flag is not known or not a number. */
export function parseFlags(argv: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string', multiple: true, default: [] },
      runs: { type: 'string', default: '5' },
      size: { type: 'string', default: '200' },
      main: { type: 'string', default: asInstalled() },
      against: { type: 'string' },
      'node-flag': { type: 'string', multiple: true, default: ['--max-semi-space-size=4'] },
    },
  });
  return {
    only: values.only,
    runs: count('runs', values.runs),
    size: count('size', values.size) * 1024 * 1024,
    main: values.main,
    against: values.against,
    nodeFlags: values['node-flag'],
  };
}

function count(name: string, text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`--${name} must be a positive number, not ${text}`);
  return Number(text);
}

/** What `bin/breakwater` runs. */
function asInstalled(): string {
  const built = join(import.meta.dirname, '../dist/main.js');
  return existsSync(built) ? built : join(import.meta.dirname, '../src/main.ts');
}
