import type { Scenario } from './scenario.ts';

const CLIENTS = 8;
const REQUESTS = 250;

/** What skopeo, podman and dockerd do: a connection, CONNECT and a full handshake for every request. */
export const CONNECTION: Scenario = {
  name: 'connection',
  title: `new connection and one manifest, ${CLIENTS} at a time`,
  measures: [
    { name: 'rate', unit: '1/s', digits: 0, target: { of: 'ratio', kind: 'least', value: 0.9 } },
    { name: 'CPU', unit: 'ms/connection', digits: 3 },
    { name: 'p99', unit: 'ms', digits: 2 },
  ],
  async run({ contents, load }, server) {
    const { path } = contents.manifest;
    const { groups, cpu } = await load(server, [{ path, clients: CLIENTS, requests: REQUESTS, kept: false }]);
    const { requests = 0, seconds = 0, p99 = 0 } = groups[0] ?? {};
    return { rate: requests / seconds, CPU: (cpu * 1e3) / requests, p99 };
  },
};
