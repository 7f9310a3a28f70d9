import { createDigestSlots } from '../../src/store/digest-slots.ts';
import type { EvictionPolicy } from '../../src/store/eviction.ts';
import { createSlotQueues } from '../../src/store/slot-queues.ts';

/** Whatever was asked for longest ago leaves. */
export function createLru(): EvictionPolicy {
  return createQueue(true);
}

/** Whatever was stored longest ago leaves. */
export function createFifo(): EvictionPolicy {
  return createQueue(false);
}

function createQueue(accessMoves: boolean): EvictionPolicy {
  const slots = createDigestSlots();
  const queues = createSlotQueues();
  const queue = queues.create();
  const take = (slot: number): void => {
    if (queues.of(slot) !== undefined) queue.delete(slot);
  };
  return {
    has: (digest) => slots.find(digest) !== undefined,
    admit(digest, size) {
      const slot = slots.take(digest);
      take(slot);
      queue.push(slot, size);
    },
    access(digest) {
      const slot = accessMoves ? slots.find(digest) : undefined;
      if (slot === undefined) return;
      queue.delete(slot);
      queue.push(slot, queues.size(slot));
    },
    remove(digest) {
      const slot = slots.find(digest);
      if (slot === undefined) return;
      queue.delete(slot);
      slots.release(slot);
    },
    victim(pinned) {
      for (let left = queue.length; left > 0; left -= 1) {
        const slot = queue.head() ?? 0;
        const digest = slots.digest(slot);
        queue.delete(slot);
        if (!pinned(digest)) {
          slots.release(slot);
          return digest;
        }
        queue.push(slot, queues.size(slot));
      }
      return undefined;
    },
    totals: () => ({ objects: queue.length, bytes: queue.bytes }),
  };
}
