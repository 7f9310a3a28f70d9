import { createDigestSlots } from './digest-slots.ts';
import type { EvictionPolicy } from './eviction.ts';
import { createSlotQueues, type SlotQueue } from './slot-queues.ts';

/** Share of the bytes that new objects have to prove themselves in; `bench/eviction` shows how it was chosen. */
const SMALL_SHARE = 0.15;
/** Objects up to this size take no part in the small queue: manifests and configurations, a request each. */
const LIGHT_SIZE = 64 * 1024;
/** Accesses that are counted; more say nothing new. */
const MAX_FREQUENCY = 3;
/** Rounds that one call of `victim` gives to used objects before use protects no more: a bound on its time. */
const MAX_ROUNDS = 10_000;

/** An eviction policy that says how much it remembers of what has left. */
export interface S3Fifo extends EvictionPolicy {
  ghosts(): { readonly objects: number; readonly bytes: number };
}

/**
 * S3-FIFO by bytes: a small queue that most objects leave unused, a main queue that gives each access a further
 * round, and the ghosts of what left the small one, which enter the main one if they come again.
 * Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
 */
export function createS3Fifo(): S3Fifo {
  const slots = createDigestSlots();
  const queues = createSlotQueues();
  const small = queues.create();
  const main = queues.create();
  const ghosts = queues.create();
  /** Accesses, per slot. */
  let frequencies: Uint8Array = new Uint8Array(1024);

  function forget(slot: number): void {
    queues.of(slot)?.delete(slot);
    slots.release(slot);
  }

  function move(slot: number, to: SlotQueue): void {
    queues.of(slot)?.delete(slot);
    to.push(slot, queues.size(slot));
  }

  /** Ghosts are kept for as many bytes as the main queue has, and no more of them than there are objects. */
  function trimGhosts(): void {
    while (ghosts.bytes > main.bytes || ghosts.length > small.length + main.length) {
      const oldest = ghosts.head();
      if (oldest === undefined) return;
      forget(oldest);
    }
  }

  function evict(slot: number): void {
    if (queues.of(slot) === small) move(slot, ghosts);
    else forget(slot);
    trimGhosts();
  }

  /** Gives an object that was used a further round in the main queue; false where it was not used. */
  function again(slot: number): boolean {
    const frequency = frequencies[slot] ?? 0;
    if (frequency === 0) return false;
    // the first round after the small queue is for having proved itself, whatever the number of accesses
    frequencies[slot] = queues.of(slot) === small ? 0 : frequency - 1;
    move(slot, main);
    return true;
  }

  return {
    has(digest) {
      const slot = slots.find(digest);
      return slot !== undefined && queues.of(slot) !== ghosts;
    },
    admit(digest, size) {
      const slot = slots.take(digest);
      if (slot >= frequencies.length) frequencies = enlarged(frequencies);
      const queue = queues.of(slot);
      queue?.delete(slot);
      if (queue === undefined || queue === ghosts) frequencies[slot] = 0;
      const proved = queue === ghosts || queue === main || size <= LIGHT_SIZE;
      (proved ? main : small).push(slot, size);
      trimGhosts();
    },
    access(digest) {
      const slot = slots.find(digest);
      if (slot === undefined) return;
      const frequency = frequencies[slot] ?? 0;
      if (frequency < MAX_FREQUENCY) frequencies[slot] = frequency + 1;
    },
    remove(digest) {
      const slot = slots.find(digest);
      if (slot === undefined || queues.of(slot) === ghosts) return;
      forget(slot);
      trimGhosts();
    },
    victim(pinned) {
      let rounds = 0;
      /** Objects in the main queue found to be read, one after the other. */
      let passedOver = 0;
      for (;;) {
        const fromSmall = small.bytes > (small.bytes + main.bytes) * SMALL_SHARE || passedOver >= main.length;
        const slot = (fromSmall ? small : main).head();
        if (slot === undefined) return undefined;
        if (rounds < MAX_ROUNDS && again(slot)) {
          rounds += 1;
          passedOver = 0;
          continue;
        }
        const digest = slots.digest(slot);
        if (!pinned(digest)) {
          evict(slot);
          return digest;
        }
        // from the small queue too: what is being read need not prove itself any more
        if (!fromSmall) passedOver += 1;
        move(slot, main);
      }
    },
    totals: () => ({ objects: small.length + main.length, bytes: small.bytes + main.bytes }),
    ghosts: () => ({ objects: ghosts.length, bytes: ghosts.bytes }),
  };
}

function enlarged(old: Uint8Array): Uint8Array {
  const larger = new Uint8Array(old.length * 2);
  larger.set(old);
  return larger;
}
