import type { Target } from './connection.ts';

/** Clients that do the same over and over. */
export interface Group {
  readonly path: string;
  readonly clients: number;
  /** Of each client; undefined: until the groups that have an end are done. */
  readonly requests?: number;
  /** No request begins after this time, whatever `requests` says. */
  readonly seconds?: number;
  /** One connection a client, or a new one a request. */
  readonly kept: boolean;
  /** Gives way to the clients of other groups, whose latency counts. */
  readonly yields?: boolean;
}

/** What one process of the load generator does. */
export interface Job {
  readonly target: Target;
  readonly group: Group;
}

export interface GroupResult {
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Milliseconds from the request, or the connection's begin, to the last byte. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}
