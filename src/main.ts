import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { deriveSecret, loadAuthority } from './ca/authority.ts';
import { createLeafContexts } from './ca/contexts.ts';
import { createAcceptance } from './cache/acceptance.ts';
import { createIdentitySeal } from './cache/identity-seal.ts';
import { createStoredChallenges } from './cache/stored-challenges.ts';
import { runCli } from './cli/run-cli.ts';
import type { Config } from './config/config.ts';
import { createRegistryMatcher } from './config/registry-pattern.ts';
import { createDoor } from './doors/connect/door.ts';
import { createDrain } from './doors/drain.ts';
import { listen } from './doors/listen.ts';
import { stopSignal } from './doors/stop-signal.ts';
import { createSite } from './doors/site/site.ts';
import { createAccessLog } from './observe/access-log.ts';
import { createLineWriter } from './observe/line-writer.ts';
import { createLog } from './observe/log.ts';
import { startSummary } from './observe/start-summary.ts';
import { createPulls } from './pulls/pulls.ts';
import { createDiskStore } from './store/disk/disk-store.ts';
import { openLayout } from './store/disk/layout.ts';
import { createFills } from './store/fills.ts';
import { createStoreHealth } from './store/health.ts';
import { startInactiveSweep } from './store/inactive.ts';
import { createAcceptanceTable } from './store/index/acceptance-table.ts';
import { openIndex } from './store/index/database.ts';
import { createLinkTable } from './store/index/link-table.ts';
import { createObjectTable } from './store/index/object-table.ts';
import { createReplyTable } from './store/index/reply-table.ts';
import { createTagTable } from './store/index/tag-table.ts';
import type { OnFault } from './store/index/writer.ts';
import { createS3Fifo } from './store/s3-fifo.ts';
import { createCredentials } from './upstream/credentials.ts';
import { createIssuedTokens } from './upstream/issued-tokens.ts';
import { createCircuit, withCircuit } from './upstream/circuit.ts';
import { createConsiderate } from './upstream/considerate.ts';
import { createRateLimits } from './upstream/rate-limits.ts';
import { createTokenBroker } from './upstream/token-broker.ts';
import { createTransport } from './upstream/transport.ts';
import { trustContext } from './upstream/trust.ts';
import { createUpstream } from './upstream/upstream.ts';

const version = readVersion();

process.exitCode = await runCli({
  argv: process.argv.slice(2),
  env: process.env,
  version,
  stdout: process.stdout,
  stderr: process.stderr,
  serve,
});

/** Runs the proxy until a signal ends it. */
async function serve(config: Config): Promise<number> {
  const now = Date.now;
  const log = createLog(config.logLevel);
  const accessLines = pino.destination({ dest: 1, sync: false });
  const accessLog = createLineWriter((lines) => void accessLines.write(lines));
  const authority = await loadAuthority({
    directory: config.caDir,
    certificateFile: config.caCrtFile,
    keyFile: config.caKeyFile,
    passphrase: config.caKeyPassphrase?.reveal(),
  });

  const layout = openLayout(config.cacheDir);
  const index = openIndex(layout.index);
  const health = createStoreHealth(log);
  const onFault: OnFault = (error, doing) => health.fault(error, doing);
  const objects = createObjectTable(index.database, onFault);
  const store = createDiskStore({
    layout,
    objects,
    eviction: createS3Fifo(),
    maxSize: config.cacheMaxSize,
    minFree: config.cacheMinFree,
    clean: index.clean,
    now,
    onFault,
  });
  const fills = createFills({
    store,
    stallTimeout: config.proxyReadTimeout,
    abandoned: config.fillAbandoned,
    health,
  });
  const stopSweep = startInactiveSweep(store, objects, config.cacheInactive, now, onFault);

  const direct = createTransport({
    secureContext: trustContext(config.extraCaFile),
    verify: config.verifySsl,
    ipv4Only: config.disableIpv6,
    connectTimeout: config.proxyConnectTimeout,
    readTimeout: config.proxyReadTimeout,
  });
  const transport = withCircuit(direct, createCircuit(log, now));
  const credentials = await createCredentials(config.credentials);
  const replies = createReplyTable(index.database, onFault);
  const nobodys = await createCredentials([]);
  const issued = createIssuedTokens();
  const limits = createRateLimits(config.rateLimitReserve, log, now);
  const upstream = createConsiderate(
    createUpstream(
      transport,
      {
        proxy: createTokenBroker(transport, credentials),
        anonymous: createTokenBroker(transport, nobodys),
      },
      issued,
    ),
    { limits, challenges: createStoredChallenges(replies, now), offline: config.offline },
  );

  const seal = createIdentitySeal(deriveSecret(authority, 'identities'));
  const acceptances = createAcceptanceTable(index.database, config.privateStaleTime, now, onFault);
  const matcher = createRegistryMatcher(config.registries);
  const pulls = createPulls({
    config,
    store,
    fills,
    links: createLinkTable(index.database, onFault),
    tags: createTagTable(index.database, onFault),
    replies,
    acceptance: createAcceptance(acceptances, seal, now),
    seal,
    upstream,
    credentials: config.privateImages === 'shared' ? credentials : nobodys,
    issued,
    limits,
    intercepts: matcher,
    now,
  });
  const drain = createDrain();
  const server = createDoor({
    config,
    contexts: createLeafContexts(authority),
    matcher,
    pulls,
    site: createSite(authority),
    log,
    onFinished: createAccessLog((line) => accessLog.write(line), now),
    onTunnel: (client) => drain.keep(client),
    now,
  });
  drain.watch(server);
  const stop = stopSignal();
  const address = await listen(server, config.listen);
  process.stderr.write(startSummary({ version, address, config, ca: authority, cached: store.totals() }));

  const signal = await stop;
  log.info({ signal }, 'draining');
  const whole = await drain.end(config.shutdownTimeout);
  if (!whole) log.warn('connections were cut, as they did not end in time');
  await transport.close();
  stopSweep();
  await fills.idle();
  await store.close();
  index.close();
  accessLog.flush();
  accessLines.flushSync();
  return 0;
}

function readVersion(): string {
  const file = join(dirname(import.meta.dirname), 'package.json');
  const description: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const known = typeof description === 'object' && description !== null && 'version' in description;
  return known ? String(description.version) : 'unknown';
}
