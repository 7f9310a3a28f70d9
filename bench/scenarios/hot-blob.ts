import type { Scenario } from './scenario.ts';

const GIGABYTE = 1e9;
const MEGABYTE = 1e6;
/** Bytes of one run, so that CPU times are well above the noise. */
const RUN_BYTES = 1.2e9;

/** Clients that download the same large blob, which the page cache holds, on kept connections. */
export function hotBlob(clients: number): Scenario {
  return {
    name: `blob-${clients}`,
    title: `hot large blob, ${clients} ${clients === 1 ? 'client' : 'clients'}`,
    measures: [
      { name: 'throughput', unit: 'MB/s', digits: 0, target: { of: 'ratio', kind: 'least', value: 1.5 } },
      { name: 'CPU', unit: 's/GB', digits: 3, target: { of: 'ratio', kind: 'most', value: 0.75 } },
      {
        name: 'peak RSS',
        unit: 'MiB',
        digits: 0,
        ...(clients === 16 ? { target: { of: 'figure', kind: 'most', value: 100 } } : {}),
      },
    ],
    async run({ contents, load }, server) {
      const { path, size } = contents.large;
      const requests = Math.max(1, Math.round(RUN_BYTES / size / clients));
      const { groups, cpu, peak } = await load(server, [{ path, clients, requests, kept: true }]);
      const { bytes = 0, seconds = 0 } = groups[0] ?? {};
      return {
        throughput: bytes / MEGABYTE / seconds,
        CPU: cpu / (bytes / GIGABYTE),
        'peak RSS': peak,
      };
    },
  };
}
