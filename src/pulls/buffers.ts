const LARGE = 512 * 1024;
const SMALL = 64 * 1024;
/** Answers that may have large buffers at once: they make fast clients faster, a thousand of them would not fit. */
const MAX_LARGE = 48;
/** Small buffers that are kept for the next who wants one. */
const KEPT_SMALL = 64;

/** Buffers for bodies on their way to clients; each is used by one answer at a time. */
export interface Buffers {
  /**
   * Bytes of the buffers for an answer of `length` bytes (Infinity where that is not known), until it ends: TLS keeps as
   * many for the connection as the largest write had.
   */
  begin(length: number): number;
  end(size: number): void;
  /** Lends a buffer of the size that `begin` gave. */
  borrow(size: number): Buffer;
  /** Takes one back that nobody writes to any more; one that is not given back is lost, and no harm done. */
  giveBack(buffer: Buffer): void;
}

export function createBuffers(): Buffers {
  const large: Buffer[] = [];
  const small: Buffer[] = [];
  let largeAnswers = 0;
  return {
    begin(length) {
      if (length <= SMALL || largeAnswers >= MAX_LARGE) return SMALL;
      largeAnswers += 1;
      return LARGE;
    },
    end(size) {
      if (size === LARGE) largeAnswers -= 1;
    },
    borrow: (size) => (size === LARGE ? large : small).pop() ?? Buffer.allocUnsafeSlow(size),
    giveBack(buffer) {
      if (buffer.length === LARGE) large.push(buffer);
      else if (small.length < KEPT_SMALL) small.push(buffer);
    },
  };
}
