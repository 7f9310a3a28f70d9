import { createRandom as createNumbers } from '../../bench/eviction/random.ts';

/** Choices that a seed decides. */
export interface Random {
  /** A whole number from 0 up to `limit`, exclusive. */
  below(limit: number): number;
  chance(share: number): boolean;
  pick<T>(list: readonly T[]): T;
  bytes(length: number): Buffer;
}

export function createRandom(seed: number): Random {
  const numbers = createNumbers(seed);
  const below = (limit: number): number => numbers.below(limit);
  return {
    below,
    chance: (share) => numbers.uniform() < share,
    pick: (list) => list[below(list.length)]!,
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
  };
}
