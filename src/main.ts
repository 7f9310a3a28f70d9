import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { deriveSecret, loadAuthority } from './ca/authority.ts';
import { createLeafContexts } from './ca/contexts.ts';
import { createAcceptance } from './cache/acceptance.ts';
import { createIdentitySeal } from './cache/identity-seal.ts';
import { createStoredChallenges } from './cache/stored-challenges.ts';
import { runCli } from './cli/run-cli.ts';
import { loadConfig, type Config } from './config/config.ts';
import { credentialFiles } from './config/credential-files.ts';
import { createRegistryMatcher } from './config/registry-pattern.ts';
import { createAdmission } from './doors/access/admission.ts';
import { createUsers } from './doors/access/users.ts';
import { createDoor } from './doors/connect/door.ts';
import { createDrain } from './doors/drain.ts';
import { openListeners } from './doors/front/listeners.ts';
import type { Peers } from './doors/peers.ts';
import { stopSignal } from './doors/stop-signal.ts';
import { createSite } from './doors/site/site.ts';
import { createAccessLog } from './observe/access-log.ts';
import { createLineWriter } from './observe/line-writer.ts';
import { createLog } from './observe/log.ts';
import { createRefusalLog } from './observe/refusal-log.ts';
import { startSummary } from './observe/start-summary.ts';
import { createPulls } from './pulls/pulls.ts';
import { asBreakwaterError } from './registry/errors.ts';
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
import { readCredentialSources } from './upstream/credential-sources.ts';
import { createCredentials } from './upstream/credentials.ts';
import { createIssuedTokens } from './upstream/issued-tokens.ts';
import { createCircuit, withCircuit } from './upstream/circuit.ts';
import { createConsiderate } from './upstream/considerate.ts';
import { createRateLimits } from './upstream/rate-limits.ts';
import { createDestinations } from './upstream/destinations.ts';
import { createTokenBroker } from './upstream/token-broker.ts';
import { createTlsProfiles, tlsFiles } from './upstream/tls/profiles.ts';
import { createTransport } from './upstream/transport.ts';
import { createUpstream } from './upstream/upstream.ts';
import { watchFiles } from './upstream/watched-files.ts';
import { createDialer, newVia } from './upstream/way/dialer.ts';
import { createNames } from './upstream/way/names.ts';
import { createRace } from './upstream/way/race.ts';
import { createRoutes } from './upstream/way/routes.ts';

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
  const onFault: OnFault = (error, doing) => {
    index.doubt();
    health.fault(error, doing);
  };
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

  const matcher = createRegistryMatcher(config.registries);
  const destinations = createDestinations({
    matcher,
    allow: config.tunnelAllow,
    deny: config.tunnelDeny,
    allowLocal: config.allowLocalAddresses,
  });
  const tls = createTlsProfiles(config);
  const dialer = createDialer({
    names: createNames({ ipv4Only: config.disableIpv6, now }),
    race: createRace(),
    routes: createRoutes(config),
    tls,
    via: newVia(),
  });
  const direct = createTransport({
    dialer,
    tls,
    destinations,
    connectTimeout: config.proxyConnectTimeout,
    readTimeout: config.proxyReadTimeout,
    sendTimeout: config.proxySendTimeout,
  });
  const watchedTls = await watchFiles(
    tlsFiles(config),
    async () => {
      tls.reload();
      log.info('certificates for upstream were read again');
    },
    (thrown) => {
      const { message: reason } = asBreakwaterError(thrown);
      log.error({ reason }, 'certificates for upstream could not be read again: those from before stay');
    },
  );
  const transport = withCircuit(direct, createCircuit(log, now));
  const sourceParts = { transport, matcher, env: process.env, log, now };
  const credentials = createCredentials(matcher, now);
  const nobodys = createCredentials(matcher, now);
  const replies = createReplyTable(index.database, onFault);
  // first, so that no change is missed while they are read
  const watched = await watchFiles(
    credentialFiles(process.env, config),
    async () => {
      credentials.replace(await readCredentialSources(loadConfig(process.env).config, sourceParts));
      log.info('credentials were read again');
    },
    (thrown) => {
      const { message: reason } = asBreakwaterError(thrown);
      log.error({ reason }, 'credentials could not be read again: those from before stay');
    },
  );
  credentials.replace(await readCredentialSources(config, sourceParts));
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
    onFault,
    now,
  });
  const users =
    config.proxyUsersFile === undefined ? undefined : await createUsers(config.proxyUsersFile, log);
  const peers: Peers = new WeakMap();
  const drain = createDrain();
  const door = createDoor({
    config,
    contexts: createLeafContexts(authority),
    matcher,
    pulls,
    site: createSite(authority),
    log,
    onFinished: createAccessLog((line) => accessLog.write(line), now),
    onTunnel: (client) => drain.keep(client),
    admission: createAdmission(config, users),
    destinations,
    dialer,
    peers,
    onRefused: createRefusalLog((line) => accessLog.write(line)),
    now,
  });
  drain.watch(door);
  const stop = stopSignal();
  const listeners = await openListeners({ config, door, peers, drain, log });
  const address = listeners.addresses.join(', ');
  process.stderr.write(startSummary({ version, address, config, ca: authority, cached: store.totals() }));

  const signal = await stop;
  log.info({ signal }, 'draining');
  const whole = await drain.end(config.shutdownTimeout);
  if (!whole) log.warn('connections were cut, as they did not end in time');
  await watched.close();
  await watchedTls.close();
  await transport.close();
  stopSweep();
  users?.close();
  listeners.close();
  await fills.idle();
  await pulls.close();
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
