import { parseArgs } from 'node:util';
import { faultsOf, soak } from './soak.ts';

/** `node bench/soak/run.ts`: an hour with 200 clients; a shorter one is part of the tests. */
const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '3600' },
  },
});
const report = await soak({
  clients: Number(values.clients),
  seconds: Number(values.seconds),
  onSample: ({ at, rss, descriptors, sockets }) =>
    void process.stdout.write(
      `${at.toFixed(0)} s: RSS ${rss.toFixed(0)} MiB, ${descriptors} descriptors, ${sockets} sockets\n`,
    ),
});
process.stdout.write(
  `before ${JSON.stringify(report.before)}\nafter ${JSON.stringify(report.after)}\n${JSON.stringify(report.counts)}\n`,
);
const faults = faultsOf(report, 64);
process.stdout.write(faults.length === 0 ? 'all is given back\n' : `${faults.join('\n')}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
