import type { Scenario } from './scenario.ts';

const CLIENTS = 4;
const REQUESTS = 300;

/** Blobs of 1 MiB, one after the other, on kept connections. */
export const SMALL_BLOB: Scenario = {
  name: 'small-blob',
  title: `1 MiB blobs, ${CLIENTS} kept connections`,
  measures: [
    { name: 'throughput', unit: 'MB/s', digits: 0 },
    { name: 'p99', unit: 'ms', digits: 2, target: { of: 'figure', kind: 'most', value: 10 } },
    { name: 'CPU', unit: 's/GB', digits: 3 },
  ],
  async run({ contents, load }, server) {
    const { path } = contents.small;
    const { groups, cpu } = await load(server, [{ path, clients: CLIENTS, requests: REQUESTS, kept: true }]);
    const { bytes = 0, seconds = 0, p99 = 0 } = groups[0] ?? {};
    return { throughput: bytes / 1e6 / seconds, p99, CPU: cpu / (bytes / 1e9) };
  },
};
