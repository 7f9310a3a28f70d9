import type { Contents } from '../content.ts';
import type { Group, GroupResult } from '../load/job.ts';
import type { MeasuredServer } from '../servers/server.ts';

/** Figures of one run, by the names of the scenario's measures. */
export type Figures = Readonly<Record<string, number>>;

export interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly digits: number;
  /** What issue 3, point 9 asks: of the ratio to nginx, or of the figure itself. */
  readonly target?: {
    readonly of: 'ratio' | 'figure';
    readonly kind: 'most' | 'least';
    readonly value: number;
  };
}

/** What a run used of the server, beside its results. */
interface Load {
  readonly groups: readonly GroupResult[];
  /** CPU seconds of the server. */
  readonly cpu: number;
  /** MiB at the end, and at most. */
  readonly rss: number;
  readonly peak: number;
}

export interface Bench {
  readonly contents: Contents;
  /** Runs a load against a server and measures what it used. */
  readonly load: (server: MeasuredServer, groups: readonly Group[]) => Promise<Load>;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly measures: readonly Measure[];
  run(bench: Bench, server: MeasuredServer): Promise<Figures>;
}
