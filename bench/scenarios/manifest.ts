import type { Scenario } from './scenario.ts';

const CLIENTS = 8;
const REQUESTS = 2_500;

/** A manifest by digest, from the cache, on kept connections. */
export const MANIFEST: Scenario = {
  name: 'manifest',
  title: `manifest hit, ${CLIENTS} kept connections`,
  measures: [
    { name: 'CPU', unit: 'µs/request', digits: 1, target: { of: 'ratio', kind: 'most', value: 1 } },
    { name: 'rate', unit: '1/s', digits: 0 },
    { name: 'p99', unit: 'ms', digits: 2 },
  ],
  async run({ contents, load }, server) {
    const { path } = contents.manifest;
    const { groups, cpu } = await load(server, [{ path, clients: CLIENTS, requests: REQUESTS, kept: true }]);
    const { requests = 0, seconds = 0, p99 = 0 } = groups[0] ?? {};
    return { CPU: (cpu * 1e6) / requests, rate: requests / seconds, p99 };
  },
};
