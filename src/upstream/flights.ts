/** Makes concurrent calls with one key a single call whose result they share. */
export interface Flights<T> {
  share(key: string, fly: () => Promise<T>): Promise<T>;
}

export function createFlights<T>(): Flights<T> {
  const underWay = new Map<string, Promise<T>>();
  return {
    share(key, fly) {
      const joined = underWay.get(key);
      if (joined !== undefined) return joined;
      const flight = fly().finally(() => underWay.delete(key));
      underWay.set(key, flight);
      return flight;
    },
  };
}
