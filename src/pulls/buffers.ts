const LARGE = 512 * 1024;
const SMALL = 64 * 1024;
/** Large buffers that may be out at once: they make fast clients faster, a thousand of them would not fit. */
const MAX_LARGE = 48;

/** Buffers for bodies on their way to clients; each is used by one answer at a time. */
export interface Buffers {
  /** Borrows a buffer no larger than is useful for `length` bytes; Infinity where that is not known. */
  borrow(length: number): Buffer;
  giveBack(buffer: Buffer): void;
  /** The same for one that may still be written to: nobody else may have it. */
  drop(buffer: Buffer): void;
}

export function createBuffers(): Buffers {
  const free: Buffer[] = [];
  let large = 0;
  return {
    borrow(length) {
      if (length <= SMALL || large >= MAX_LARGE) return Buffer.allocUnsafeSlow(Math.min(length, SMALL));
      large += 1;
      return free.pop() ?? Buffer.allocUnsafeSlow(LARGE);
    },
    giveBack(buffer) {
      if (buffer.length !== LARGE) return;
      large -= 1;
      free.push(buffer);
    },
    drop(buffer) {
      if (buffer.length === LARGE) large -= 1;
    },
  };
}
