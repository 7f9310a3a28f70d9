/** Numbers that a seed decides, so that a trace can be made again. */
export interface Random {
  /** From 0 to 1, without 1. */
  uniform(): number;
  /** A whole number from 0 to `limit`, without `limit`. */
  below(limit: number): number;
  /** Log-normal: half of the values are under `median`; `sigma` is that of the logarithm. */
  logNormal(median: number, sigma: number): number;
  exponential(mean: number): number;
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  // mulberry32: 32 bits of state are plenty for a trace of a million requests
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return {
    uniform,
    below: (limit) => Math.floor(uniform() * limit),
    logNormal: (median, sigma) => median * Math.exp(sigma * normal()),
    exponential: (mean) => -mean * Math.log(1 - uniform()),
  };
}

/** Draws ranks from 0 to `count`, rank r with a weight of 1 / (r + 1)^alpha. */
export function createZipf(count: number, alpha: number, random: Random): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank += 1) {
    sum += (rank + 1) ** -alpha;
    sums[rank] = sum;
  }
  return () => {
    const wanted = random.uniform() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] ?? 0) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
