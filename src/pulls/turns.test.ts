import { setImmediate as nextRound } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createTurns } from './turns.ts';

const LARGE = 512 * 1024;

describe('turns', () => {
  it('lets small writes of one round go on at once', () => {
    const turns = createTurns();
    expect([turns.take(64 * 1024), turns.take(64 * 1024)]).toEqual([undefined, undefined]);
  });

  it('gives each of many large answers its turn, one a round, in their order', async () => {
    const turns = createTurns();
    const begun: number[] = [];
    const answers = Array.from({ length: 4 }, async (_, number) => {
      await turns.take(LARGE);
      begun.push(number);
    });
    await Promise.resolve();
    expect(begun).toEqual([0]);
    const rounds: number[] = [];
    while (begun.length < answers.length && rounds.length < 10) {
      await nextRound();
      rounds.push(begun.length);
    }
    expect(begun).toEqual([0, 1, 2, 3]);
    expect(Math.max(...rounds.map((seen, round) => seen - (rounds[round - 1] ?? 1)))).toBe(1);
    await Promise.all(answers);
  });

  it('has its full measure again after a round without anybody', async () => {
    const turns = createTurns();
    await turns.take(LARGE);
    await nextRound();
    await nextRound();
    expect(turns.take(LARGE)).toBeUndefined();
  });
});
