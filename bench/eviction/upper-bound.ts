import { createCounter, WARM_UP_DAYS } from './simulate.ts';
import type { Trace } from './workload.ts';

/**
 * The share of the bytes that no policy can exceed, in per cent: Belady's MIN, which knows the future, on single
 * bytes. It may cut objects and store none at all, which no real cache does, and so is over what can be had.
 */
export function upperBound(trace: Trace, capacity: number): number {
  const { requests, times, sizes } = trace;
  const never = requests.length;
  const next = nextUses(trace);
  /** Bytes held, per object. */
  const held = new Float64Array(sizes.length);
  /** When each object that is held is wanted next; the latest first. */
  const wanted = createMaxHeap();
  const count = createCounter();
  let total = 0;
  for (const [at, object] of requests.entries()) {
    const size = sizes[object] ?? 0;
    const had = held[object] ?? 0;
    if ((times[at] ?? 0) >= WARM_UP_DAYS) count.add(size, had);
    const again = next[at] ?? never;
    const keeps = again === never ? 0 : size;
    held[object] = keeps;
    total += keeps - had;
    if (keeps > 0) wanted.push(again);
    while (total > capacity) {
      const latest = wanted.max() ?? 0;
      const last = requests[latest] ?? 0;
      const cut = Math.min(held[last] ?? 0, total - capacity);
      held[last] = (held[last] ?? 0) - cut;
      total -= cut;
      if (total > capacity) wanted.pop();
    }
  }
  return count.ratios().bytes;
}

/** For each request, the number of the next one for the same object; that of the end where there is none. */
function nextUses({ requests, sizes }: Trace): Int32Array {
  const next = new Int32Array(requests.length);
  const seen = new Int32Array(sizes.length).fill(requests.length);
  for (let at = requests.length - 1; at >= 0; at -= 1) {
    const object = requests[at] ?? 0;
    next[at] = seen[object] ?? requests.length;
    seen[object] = at;
  }
  return next;
}

interface MaxHeap {
  max(): number | undefined;
  push(value: number): void;
  pop(): void;
}

function createMaxHeap(): MaxHeap {
  const values: number[] = [];
  const value = (at: number): number => values[at] ?? -1;
  const swap = (one: number, other: number): void => {
    [values[one], values[other]] = [value(other), value(one)];
  };
  return {
    max: () => values[0],
    push(added) {
      let at = values.push(added) - 1;
      for (let over = (at - 1) >> 1; at > 0 && value(over) < value(at); over = (at - 1) >> 1) {
        swap(over, at);
        at = over;
      }
    },
    pop() {
      const last = values.pop();
      if (last === undefined || values.length === 0) return;
      values[0] = last;
      for (let at = 0; ;) {
        const left = 2 * at + 1;
        const under = value(left + 1) > value(left) ? left + 1 : left;
        if (value(under) <= value(at)) return;
        swap(at, under);
        at = under;
      }
    },
  };
}
