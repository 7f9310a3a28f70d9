import type { EvictionPolicy } from '../../src/store/eviction.ts';
import { createS3Fifo } from '../../src/store/s3-fifo.ts';
import { describeMachine, describeVersions } from '../machine.ts';
import { median } from '../stats.ts';
import { createFifo, createLru } from './baselines.ts';
import { digestsOf, simulate, WARM_UP_DAYS, type HitRatios } from './simulate.ts';
import { upperBound } from './upper-bound.ts';
import { DEFAULT_WORKLOAD, generate, type Workload } from './workload.ts';

/** A row of the table: what differs from the default, and the cache's share of the working set. */
interface Case {
  readonly name: string;
  readonly differs: Partial<Workload>;
  readonly shares: readonly number[];
}

/** What one seed gave. */
interface Outcome {
  readonly fifo: HitRatios;
  readonly lru: HitRatios;
  readonly s3: HitRatios;
  readonly bound: number;
  /** The cache's share of the footprint, in per cent. */
  readonly ofFootprint: number;
}

const CASES: readonly Case[] = [
  { name: 'default', differs: {}, shares: [0.01, 0.1, 0.25] },
  { name: 'the scan takes all day', differs: { scanHours: 22 }, shares: [0.1] },
  { name: 'no scan', differs: { scanned: 0 }, shares: [0.1] },
  { name: 'no bursts: no rollouts, no CI', differs: { rollout: 0, ciImages: 0 }, shares: [0.01, 0.1, 0.25] },
  {
    name: 'no bursts, scan all day',
    differs: { rollout: 0, ciImages: 0, scanHours: 22 },
    shares: [0.1],
  },
  { name: 'alpha 0.7', differs: { alpha: 0.7 }, shares: [0.1] },
  { name: 'alpha 1.1', differs: { alpha: 1.1 }, shares: [0.1] },
  {
    name: 'small site: 500 repositories',
    differs: { repositories: 500, pulls: 2_000, ciImages: 300 },
    shares: [0.1],
  },
];

const HEAD = [
  'workload',
  'cache, % of working set',
  '% of footprint',
  'bytes: FIFO',
  'LRU',
  'S3-FIFO',
  'S3-FIFO − LRU',
  'no policy more than LRU +',
  'requests: FIFO',
  'LRU',
  'S3-FIFO',
  'S3-FIFO − LRU',
];

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** `node bench/eviction/run.ts [seeds]`: prints each row when it is known, as all take minutes. */
const seeds = Array.from({ length: Number(process.argv[2] ?? 3) }, (_, at) => at + 1);
say(`${describeMachine()}; ${describeVersions(undefined)}; ${new Date().toISOString().slice(0, 10)}.`);
say(
  `Hits in per cent of what was asked for after ${WARM_UP_DAYS} days; medians of seeds ${seeds.join(', ')}, of differences too. Working set: bytes of all objects asked for more than once; footprint: of all.`,
);
say(`Default workload: \`${JSON.stringify(DEFAULT_WORKLOAD)}\`.\n`);
say(line(HEAD));
say(line(HEAD.map(() => '---')));
for (const one of CASES) for (const row of rowsOf(one)) say(line(row));

function rowsOf({ name, differs, shares }: Case): string[][] {
  const outcomes = new Map(shares.map((share): [number, Outcome[]] => [share, []]));
  for (const seed of seeds) {
    process.stderr.write(`${name}, seed ${seed}\n`);
    const trace = generate({ ...DEFAULT_WORKLOAD, ...differs }, seed);
    const digests = digestsOf(trace);
    for (const [share, list] of outcomes) {
      const capacity = Math.floor(share * trace.workingSet);
      const through = (policy: EvictionPolicy): HitRatios => simulate(trace, digests, capacity, policy);
      list.push({
        fifo: through(createFifo()),
        lru: through(createLru()),
        s3: through(createS3Fifo()),
        bound: upperBound(trace, capacity),
        ofFootprint: (100 * capacity) / trace.footprint,
      });
    }
  }
  return [...outcomes].map(([share, list]) => {
    const figure = (of: (outcome: Outcome) => number): string => median(list.map(of)).toFixed(1);
    return [
      name,
      `${share * 100}`,
      figure(({ ofFootprint }) => ofFootprint),
      figure(({ fifo }) => fifo.bytes),
      figure(({ lru }) => lru.bytes),
      figure(({ s3 }) => s3.bytes),
      `**${figure(({ s3, lru }) => s3.bytes - lru.bytes)}**`,
      figure(({ bound, lru }) => bound - lru.bytes),
      figure(({ fifo }) => fifo.requests),
      figure(({ lru }) => lru.requests),
      figure(({ s3 }) => s3.requests),
      `**${figure(({ s3, lru }) => s3.requests - lru.requests)}**`,
    ];
  });
}
