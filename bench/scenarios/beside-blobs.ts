import type { Scenario } from './scenario.ts';

const REQUESTS = 400;
/** nginx lets a fast download have its worker for a long time. */
const SECONDS = 4;

/** One client asks for manifests while four download the large blob, over and over. */
export const BESIDE_BLOBS: Scenario = {
  name: 'beside-blobs',
  title: 'manifest while 4 clients download the large blob',
  measures: [
    { name: 'p50', unit: 'ms', digits: 2 },
    { name: 'p99', unit: 'ms', digits: 2, target: { of: 'figure', kind: 'most', value: 3 } },
    { name: 'throughput of the blobs', unit: 'MB/s', digits: 0 },
  ],
  async run({ contents, load }, server) {
    const { groups } = await load(server, [
      { path: contents.manifest.path, clients: 1, requests: REQUESTS, seconds: SECONDS, kept: true },
      { path: contents.large.path, clients: 4, kept: true, yields: true },
    ]);
    const [manifests, blobs] = groups;
    return {
      p50: manifests?.p50 ?? Number.NaN,
      p99: manifests?.p99 ?? Number.NaN,
      'throughput of the blobs': (blobs?.bytes ?? 0) / 1e6 / (blobs?.seconds ?? 1),
    };
  },
};
