import { spawnSync } from 'node:child_process';
import type { Scenario } from './scenario.ts';

/** One client downloads the large blob, of which the page cache holds nothing, while another asks for manifests. */
export const COLD_BLOB: Scenario = {
  name: 'cold-blob',
  title: 'cold page cache: large blob, manifests beside it',
  measures: [
    { name: 'throughput', unit: 'MB/s', digits: 0 },
    { name: 'p99 of the manifests', unit: 'ms', digits: 2 },
    { name: 'slowest manifest', unit: 'ms', digits: 2 },
  ],
  async run({ contents, load }, server) {
    const file = server.fileOf(contents.large);
    // POSIX_FADV_DONTNEED for the whole file (GNU dd)
    const { status, stderr } = spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0']);
    if (status !== 0) throw new Error(`dd could not drop ${file} from the page cache: ${String(stderr)}`);
    const { groups } = await load(server, [
      { path: contents.large.path, clients: 1, requests: 1, kept: true, yields: true },
      { path: contents.manifest.path, clients: 1, kept: true },
    ]);
    const [blob, manifests] = groups;
    return {
      throughput: (blob?.bytes ?? 0) / 1e6 / (blob?.seconds ?? 1),
      'p99 of the manifests': manifests?.p99 ?? Number.NaN,
      'slowest manifest': manifests?.max ?? Number.NaN,
    };
  },
};
