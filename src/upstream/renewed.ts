/** A value and how many milliseconds it is good for. */
export interface Lease<T> {
  readonly value: T;
  readonly lifetime: number;
}

/** A value that ends and is fetched anew; concurrent fetches are one. */
export interface Renewed<T> {
  /**
   * The value; one near its end is renewed in the background, so that nobody waits and none ends on the way.
   * @throws what fetching throws, where there is no value to give.
   */
  get(): Promise<T>;
  /** Drops the value if it is still this one. */
  drop(value: T): void;
}

/** A value is renewed when this share of its life is left. */
const AHEAD = 0.2;
/** A renewal that failed is tried again when this share of what was left then has passed. */
const AGAIN = 0.25;

/** @param onFailure told of a renewal ahead of time that failed; the old value still counts. */
export function createRenewed<T>(
  fetch: () => Promise<Lease<T>>,
  onFailure: (thrown: unknown) => void,
  now: () => number,
): Renewed<T> {
  let held: { readonly value: T; renewAt: number; readonly endsAt: number } | undefined;
  let flight: Promise<T> | undefined;

  function renew(): Promise<T> {
    flight ??= (async () => {
      try {
        const { value, lifetime } = await fetch();
        const at = now();
        held = { value, renewAt: at + lifetime * (1 - AHEAD), endsAt: at + lifetime };
        return value;
      } finally {
        flight = undefined;
      }
    })();
    return flight;
  }

  function renewAhead(): void {
    renew().catch((thrown: unknown) => {
      const at = now();
      if (held !== undefined) held.renewAt = at + Math.max(0, held.endsAt - at) * AGAIN;
      onFailure(thrown);
    });
  }

  return {
    async get() {
      const at = now();
      if (held === undefined || at >= held.endsAt) return renew();
      const { value, renewAt } = held;
      if (at >= renewAt && flight === undefined) renewAhead();
      return value;
    },
    drop(value) {
      if (held?.value === value) held = undefined;
    },
  };
}
