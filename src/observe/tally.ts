/** One figure of a metric. */
export interface Sample {
  /** The values of the metric's labels, in their order. */
  readonly labels: readonly string[];
  readonly value: number;
}

/** What a histogram has for one combination of labels. */
export interface Distribution {
  readonly labels: readonly string[];
  /** By bucket, each without those below it; the last is of what is above every bound. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** A figure that grows. */
export interface Count {
  value: number;
}

/** Counts by labels. */
export interface Tally {
  /** The count of these labels; whoever counts often keeps it. */
  of(...labels: readonly string[]): Count;
  add(value: number, ...labels: readonly string[]): void;
  readonly read: () => readonly Sample[];
}

/** @param initial combinations of labels that are there from the beginning, as 0. */
export function createTally(initial: readonly (readonly string[])[]): Tally {
  const counts = new Map<string, Count & { readonly labels: readonly string[] }>();
  function of(...labels: readonly string[]): Count {
    const key = labels.join('\n');
    const known = counts.get(key);
    if (known !== undefined) return known;
    const count = { labels, value: 0 };
    counts.set(key, count);
    return count;
  }
  for (const labels of initial) of(...labels);
  return {
    of,
    add(value, ...labels) {
      of(...labels).value += value;
    },
    read: () => [...counts.values()],
  };
}

/** Sorts figures into buckets, by one label or none. */
export interface Spread {
  add(value: number, label?: string): void;
  readonly read: () => readonly Distribution[];
}

export function createSpread(bounds: readonly number[], initial: readonly (readonly string[])[]): Spread {
  interface Counted {
    readonly labels: readonly string[];
    readonly counts: number[];
    sum: number;
  }
  const spreads = new Map<string, Counted>();
  function begin(labels: readonly string[]): Counted {
    const begun = { labels, counts: Array.from({ length: bounds.length + 1 }, () => 0), sum: 0 };
    spreads.set(labels.join('\n'), begun);
    return begun;
  }
  for (const labels of initial) begin(labels);
  return {
    add(value, label) {
      const spread = spreads.get(label ?? '') ?? begin(label === undefined ? [] : [label]);
      let bucket = 0;
      while (value > (bounds[bucket] ?? Infinity)) bucket += 1;
      spread.counts[bucket] = (spread.counts[bucket] ?? 0) + 1;
      spread.sum += value;
    },
    read: () => [...spreads.values()],
  };
}

/** Every combination of one value of each list. */
export function combinations(...lists: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return lists.reduce<readonly (readonly string[])[]>(
    (made, values) => made.flatMap((labels) => values.map((value) => [...labels, value])),
    [[]],
  );
}
