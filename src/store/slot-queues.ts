/** A queue of slots, first in first out, that gives up any of them at once. */
export interface SlotQueue {
  readonly length: number;
  readonly bytes: number;
  /** The slot that was pushed first of those that are in; undefined where there is none. */
  head(): number | undefined;
  /** Puts a slot that is in no queue last. */
  push(slot: number, size: number): void;
  delete(slot: number): void;
}

/** Queues that share their slots: each slot is in one of them at most. */
export interface SlotQueues {
  create(): SlotQueue;
  /** The queue that a slot is in. */
  of(slot: number): SlotQueue | undefined;
  size(slot: number): number;
}

const NONE = -1;
const FIRST_CAPACITY = 1024;

/** Doubly linked lists in arrays, 17 bytes a slot: a million objects are none for the garbage collector. */
export function createSlotQueues(): SlotQueues {
  let before = new Int32Array(FIRST_CAPACITY);
  let after = new Int32Array(FIRST_CAPACITY);
  let sizes = new Float64Array(FIRST_CAPACITY);
  /** The number of the queue that a slot is in, from 1. */
  let owners = new Uint8Array(FIRST_CAPACITY);
  const queues: SlotQueue[] = [];

  function reach(slot: number): void {
    if (slot < owners.length) return;
    const capacity = owners.length * 2;
    before = enlarged(before, new Int32Array(capacity));
    after = enlarged(after, new Int32Array(capacity));
    sizes = enlarged(sizes, new Float64Array(capacity));
    owners = enlarged(owners, new Uint8Array(capacity));
  }

  return {
    create() {
      let [first, last, length, bytes] = [NONE, NONE, 0, 0];
      const queue: SlotQueue = {
        get length() {
          return length;
        },
        get bytes() {
          return bytes;
        },
        head: () => (first === NONE ? undefined : first),
        push(slot, size) {
          reach(slot);
          before[slot] = last;
          after[slot] = NONE;
          if (last === NONE) first = slot;
          else after[last] = slot;
          last = slot;
          sizes[slot] = size;
          owners[slot] = number;
          length += 1;
          bytes += size;
        },
        delete(slot) {
          const previous = before[slot] ?? NONE;
          const next = after[slot] ?? NONE;
          if (previous === NONE) first = next;
          else after[previous] = next;
          if (next === NONE) last = previous;
          else before[next] = previous;
          owners[slot] = 0;
          length -= 1;
          bytes -= sizes[slot] ?? 0;
        },
      };
      const number = queues.push(queue);
      return queue;
    },
    of: (slot) => queues[(owners[slot] ?? 0) - 1],
    size: (slot) => sizes[slot] ?? 0,
  };
}

function enlarged<T extends { set(other: T): void }>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
