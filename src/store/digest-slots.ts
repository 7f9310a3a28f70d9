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

/** 32-bit words of a key: all of a SHA-256, the beginning of a SHA-512. */
const WORDS = 8;
const HEX_PER_WORD = 8;
const FIRST_CAPACITY = 1024;

export function createDigestSlots(): DigestSlots {
  let capacity = FIRST_CAPACITY;
  let keys = new Uint32Array(capacity * WORDS);
  /** Open addressing with linear probing, at most half full: slot + 1 by hash, 0 where free. */
  let table = new Int32Array(capacity * 2);
  /** Digests that do not fit a key. */
  const long = new Map<number, Digest>();
  const free: number[] = [];
  let given = 0;
  const wanted = new Uint32Array(WORDS);
  // upstream chooses the digests: with factors it cannot know, it cannot choose those that meet in one place
  const [factor0, factor1] = crypto.getRandomValues(new Uint32Array(2)).map((factor) => factor | 1);

  function place(words: Uint32Array, at: number): number {
    const mixed = Math.imul(words[at] ?? 0, factor0 ?? 1) + Math.imul(words[at + 1] ?? 0, factor1 ?? 1);
    return (mixed ^ (mixed >>> 15)) & (table.length - 1);
  }

  function holds(slot: number, digest: Digest): boolean {
    for (let word = 0; word < WORDS; word += 1) {
      if (keys[slot * WORDS + word] !== wanted[word]) return false;
    }
    return isLong(digest) ? long.get(slot) === digest : long.size === 0 || !long.has(slot);
  }

  /** Where in the table the digest is, or would be put; leaves its key in `wanted`. */
  function locate(digest: Digest): number {
    readKey(digest, wanted);
    let at = place(wanted, 0);
    for (let slot = table[at] ?? 0; slot !== 0; slot = table[at] ?? 0) {
      if (holds(slot - 1, digest)) return at;
      at = (at + 1) & (table.length - 1);
    }
    return at;
  }

  function grow(): void {
    capacity *= 2;
    const before = keys;
    keys = new Uint32Array(capacity * WORDS);
    keys.set(before);
    table = new Int32Array(capacity * 2);
    for (let slot = 0; slot < given; slot += 1) {
      let at = place(keys, slot * WORDS);
      while (table[at] !== 0) at = (at + 1) & (table.length - 1);
      table[at] = slot + 1;
    }
  }

  /** Empties a place, and moves up those behind it that would no longer be found. */
  function vacate(hole: number): void {
    const mask = table.length - 1;
    table[hole] = 0;
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const slot = table[at] ?? 0;
      const home = place(keys, (slot - 1) * WORDS);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole] = slot;
      table[at] = 0;
      hole = at;
    }
  }

  function text(slot: number): Digest {
    let hex = '';
    for (let word = 0; word < WORDS; word += 1) {
      hex += (keys[slot * WORDS + word] ?? 0).toString(16).padStart(HEX_PER_WORD, '0');
    }
    return parseDigest(`sha256:${hex}`);
  }

  function digest(slot: number): Digest {
    return long.get(slot) ?? text(slot);
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
      keys.set(wanted, slot * WORDS);
      if (isLong(digest)) long.set(slot, digest);
      return slot;
    },
    release(slot) {
      vacate(locate(digest(slot)));
      long.delete(slot);
      free.push(slot);
    },
    digest,
  };
}

function isLong(digest: Digest): boolean {
  return digestAlgorithm(digest) !== 'sha256';
}

function readKey(digest: Digest, words: Uint32Array): void {
  const start = digest.length - digestHex(digest).length;
  for (let word = 0; word < WORDS; word += 1) {
    let value = 0;
    for (let at = 0; at < HEX_PER_WORD; at += 1) {
      const code = digest.charCodeAt(start + word * HEX_PER_WORD + at);
      // 0-9 are 48 to 57, a-f are 97 to 102
      value = (value << 4) | (code < 58 ? code - 48 : code - 87);
    }
    words[word] = value;
  }
}
