import { digestAlgorithm, digestHex, parseDigest, type Digest } from '../registry/digest.ts';

/**
 * Gives each digest a small whole number, its slot, by which arrays can tell more of it; a slot that was let go is
 * given out again. A digest costs 40 to 80 bytes outside the garbage collector's sight; a Map of strings costs 130.
 */
export interface DigestSlots {
  /** The slot of a digest; undefined where it has none. */
  find(digest: Digest): number | undefined;
  /** The slot of a digest, a free one where it had none; slots are given out from 0 without gaps. */
  take(digest: Digest): number;
  release(slot: number): void;
  digest(slot: number): Digest;
}

/** A key is all of a SHA-256, the beginning of a SHA-512. */
const KEY_BYTES = 32;
const WORDS = KEY_BYTES / Uint32Array.BYTES_PER_ELEMENT;
const FIRST_CAPACITY = 1024;

export function createDigestSlots(): DigestSlots {
  let capacity = FIRST_CAPACITY;
  let keys = createKeys(capacity);
  /** Open addressing with linear probing, at most half full: slot + 1 by hash, 0 where free. */
  let table = new Int32Array(capacity * 2);
  /** Digests that do not fit a key. */
  const long = new Map<number, Digest>();
  const free: number[] = [];
  let given = 0;
  const wanted = createKeys(1);
  // upstream chooses the digests: with factors it cannot know, it cannot choose those that meet in one place
  const [factor0, factor1] = crypto.getRandomValues(new Uint32Array(2)).map((factor) => factor | 1);

  /** Where in the table the search for the key at `slot` begins. */
  function home(keys: Keys, slot: number): number {
    const at = slot * WORDS;
    const mixed =
      Math.imul(keys.words[at] ?? 0, factor0 ?? 1) + Math.imul(keys.words[at + 1] ?? 0, factor1 ?? 1);
    return (mixed ^ (mixed >>> 15)) & (table.length - 1);
  }

  function holds(slot: number, digest: Digest): boolean {
    for (let word = 0; word < WORDS; word += 1) {
      if (keys.words[slot * WORDS + word] !== wanted.words[word]) return false;
    }
    return isLong(digest) ? long.get(slot) === digest : long.size === 0 || !long.has(slot);
  }

  /** Where in the table the digest is, or would be put; leaves its key in `wanted`. */
  function locate(digest: Digest): number {
    wanted.bytes.write(digestHex(digest), 0, KEY_BYTES, 'hex');
    let at = home(wanted, 0);
    for (let slot = table[at] ?? 0; slot !== 0; slot = table[at] ?? 0) {
      if (holds(slot - 1, digest)) return at;
      at = (at + 1) & (table.length - 1);
    }
    return at;
  }

  /** Where in the table the entry is; `entry` 0 finds the place to put the key at `slot`. */
  function locateSlot(slot: number, entry: number): number {
    let at = home(keys, slot);
    while (table[at] !== entry) at = (at + 1) & (table.length - 1);
    return at;
  }

  function grow(): void {
    capacity *= 2;
    const before = keys;
    keys = createKeys(capacity);
    keys.words.set(before.words);
    table = new Int32Array(capacity * 2);
    for (let slot = 0; slot < given; slot += 1) table[locateSlot(slot, 0)] = slot + 1;
  }

  /** Empties a place, and moves up those behind it that would no longer be found. */
  function vacate(hole: number): void {
    const mask = table.length - 1;
    table[hole] = 0;
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const slot = table[at] ?? 0;
      if (((at - home(keys, slot - 1)) & mask) < ((at - hole) & mask)) continue;
      table[hole] = slot;
      table[at] = 0;
      hole = at;
    }
  }

  return {
    find(digest) {
      const slot = table[locate(digest)] ?? 0;
      return slot === 0 ? undefined : slot - 1;
    },
    take(digest) {
      let at = locate(digest);
      const known = table[at] ?? 0;
      if (known !== 0) return known - 1;
      if (free.length === 0 && given === capacity) {
        grow();
        at = locate(digest);
      }
      const slot = free.pop() ?? given++;
      table[at] = slot + 1;
      keys.words.set(wanted.words, slot * WORDS);
      if (isLong(digest)) long.set(slot, digest);
      return slot;
    },
    release(slot) {
      vacate(locateSlot(slot, slot + 1));
      long.delete(slot);
      free.push(slot);
    },
    digest(slot) {
      const start = slot * KEY_BYTES;
      return long.get(slot) ?? parseDigest(`sha256:${keys.bytes.toString('hex', start, start + KEY_BYTES)}`);
    },
  };
}

/** Keys one after the other, to be written as bytes and compared as words. */
interface Keys {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
}

function createKeys(count: number): Keys {
  const words = new Uint32Array(count * WORDS);
  return { bytes: Buffer.from(words.buffer), words };
}

function isLong(digest: Digest): boolean {
  return digestAlgorithm(digest) !== 'sha256';
}
