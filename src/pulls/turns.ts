/** Bytes that all answers together may write before the loop looks for new requests: about a millisecond's work. */
const ROUND = 512 * 1024;

/** Shares the loop out between answers with long bodies, so that a short one never waits for all of them. */
export interface Turns {
  /** Gives undefined where `length` bytes may be written at once, else a promise of the moment when they may. */
  take(length: number): Promise<void> | undefined;
}

export function createTurns(): Turns {
  const waiting: { readonly length: number; readonly begin: () => void }[] = [];
  let left = ROUND;
  let next: NodeJS.Immediate | undefined;

  function spend(length: number): void {
    left -= length;
    next ??= setImmediate(onRound);
  }

  function onRound(): void {
    next = undefined;
    left = ROUND;
    while (left > 0) {
      const turn = waiting.shift();
      if (turn === undefined) return;
      spend(turn.length);
      turn.begin();
    }
  }

  return {
    take(length) {
      if (left <= 0) return new Promise((begin) => void waiting.push({ length, begin }));
      spend(length);
      return undefined;
    },
  };
}
