import { dirname } from 'node:path';
import { deriveSecret, loadAuthority } from './ca/authority.ts';
import { createLeafContexts } from './ca/contexts.ts';
import { createAcceptance } from './cache/acceptance.ts';
import { createIdentitySeal } from './cache/identity-seal.ts';
import { createStoredChallenges } from './cache/stored-challenges.ts';
import { runCli } from './cli/run-cli.ts';
import { readVersion } from './cli/version.ts';
import type { Config, LoadedConfig } from './config/config.ts';
import { credentialFiles } from './config/credential-files.ts';
import { watchFiles } from './config/watched-files.ts';
import { createLiveConfig } from './config/live-config.ts';
import { createAdmission } from './doors/access/admission.ts';
import { createUsers, type Users } from './doors/access/users.ts';
import { createDoor, type InForce } from './doors/connect/door.ts';
import { createTunnel } from './doors/connect/tunnel.ts';
import { createDrain } from './doors/drain.ts';
import { openAdmin } from './doors/admin/admin.ts';
import { openListeners } from './doors/front/listeners.ts';
import { hangUpSignal } from './doors/hang-up-signal.ts';
import type { Peers } from './doors/peers.ts';
import { stopSignal } from './doors/stop-signal.ts';
import { createSite } from './doors/site/site.ts';
import { openAccessLines } from './observe/access-lines.ts';
import { createAccessLog } from './observe/access-log.ts';
import { endOnCrash } from './observe/crash.ts';
import { createLog } from './observe/log.ts';
import { createMeters } from './observe/meters.ts';
import { createReadiness } from './observe/readiness.ts';
import { createReadings } from './observe/readings.ts';
import { createRefusalLog } from './observe/refusal-log.ts';
import { createLoggedReload } from './observe/reload-log.ts';
import { startSummary } from './observe/start-summary.ts';
import { createBuffers } from './pulls/buffers.ts';
import { createPulls } from './pulls/pulls.ts';
import { createTurns } from './pulls/turns.ts';
import { createUploads } from './pulls/uploads.ts';
import { asBreakwaterError } from './registry/errors.ts';
import { createDiskStore } from './store/disk/disk-store.ts';
import { openCache } from './store/disk/open-cache.ts';
import { createReadOnlyStore, NO_BOUNDS } from './store/disk/read-only-store.ts';
import { createFills } from './store/fills.ts';
import { createStoreHealth } from './store/health.ts';
import { startInactiveSweep } from './store/inactive.ts';
import { createAcceptanceTable } from './store/index/acceptance-table.ts';
import { createLinkTable } from './store/index/link-table.ts';
import { createObjectTable } from './store/index/object-table.ts';
import { createReplyTable } from './store/index/reply-table.ts';
import { createTagTable } from './store/index/tag-table.ts';
import type { OnFault } from './store/index/writer.ts';
import { createS3Fifo } from './store/s3-fifo.ts';
import type { CredentialSource } from './upstream/credential-source.ts';
import { readCredentialSources } from './upstream/credential-sources.ts';
import { createCredentials } from './upstream/credentials.ts';
import { createIssuedTokens } from './upstream/issued-tokens.ts';
import { createConsiderate } from './upstream/considerate.ts';
import { createRateLimits } from './upstream/rate-limits.ts';
import { createReplaceableTransport } from './upstream/replaceable-transport.ts';
import { createTokenBroker } from './upstream/token-broker.ts';
import { createUpstream } from './upstream/upstream.ts';
import { newVia } from './upstream/way/dialer.ts';
import { createWaysOut, type WayOut } from './upstream/way-out.ts';

const version = readVersion(dirname(import.meta.dirname));

process.exitCode = await runCli({
  argv: process.argv.slice(2),
  env: process.env,
  version,
  stdout: process.stdout,
  stderr: process.stderr,
  serve,
});

/** Runs the proxy until a signal ends it; `read` reads the configuration anew. */
async function serve(first: LoadedConfig, read: () => LoadedConfig): Promise<number> {
  let configInForce = first.config;
  const now = Date.now;
  const onHangUp = hangUpSignal();
  const log = createLog(configInForce.logLevel);
  const accessLog = openAccessLines();
  endOnCrash(log, () => accessLog.flush());
  const authority = await loadAuthority({
    directory: configInForce.caDir,
    certificateFile: configInForce.caCrtFile,
    keyFile: configInForce.caKeyFile,
    passphrase: configInForce.caKeyPassphrase?.reveal(),
  });

  const meters = createMeters(configInForce.registries, now);
  const { layout, index, readOnly } = openCache(configInForce.cacheDir);
  const health = createStoreHealth(log, readOnly);
  const onFault: OnFault = (error, doing) => {
    index.doubt();
    health.fault(error, doing);
  };
  const objects = createObjectTable(index.database, onFault);
  const disk = createDiskStore({
    layout,
    objects,
    eviction: createS3Fifo(),
    bounds: () =>
      readOnly === undefined
        ? { maxSize: configInForce.cacheMaxSize, minFree: configInForce.cacheMinFree }
        : NO_BOUNDS,
    clean: index.clean,
    now,
    onFault,
    onEvicted: meters.onEvicted,
  });
  const store = readOnly === undefined ? disk : createReadOnlyStore(disk);
  const fills = createFills({
    store,
    rules: () => ({ stallTimeout: configInForce.proxyReadTimeout, abandoned: configInForce.fillAbandoned }),
    health,
    onEnd: meters.onFillEnd,
  });
  const stopSweep = startInactiveSweep(store, objects, () => configInForce.cacheInactive, now, onFault);

  const replies = createReplyTable(index.database, onFault);
  const seal = createIdentitySeal(deriveSecret(authority, 'identities'));
  const acceptances = createAcceptanceTable(
    index.database,
    () => configInForce.privateStaleTime,
    now,
    onFault,
  );
  const uploads = createUploads(store, configInForce.cacheMaxSize, onFault);
  const issued = createIssuedTokens();
  const limits = createRateLimits(() => configInForce.rateLimitReserve, log, now);

  const via = newVia();
  const createWayOut = createWaysOut({ via, onAnswered: meters.onAnswered, log, now });
  let wayOut = createWayOut(configInForce);
  const lists = (host: string, port: number): boolean => wayOut.matcher(host, port);
  const complain = (thrown: unknown, what: string): void =>
    log.error({ reason: asBreakwaterError(thrown).message }, what);
  const transport = createReplaceableTransport(wayOut.transport, (thrown) =>
    complain(thrown, 'connections from before a reload were not closed'),
  );
  const credentials = createCredentials(lists, now);
  const nobodys = createCredentials(lists, now);
  const readSources = (config: Config, { matcher }: WayOut): Promise<readonly CredentialSource[]> =>
    readCredentialSources(config, { transport, matcher, env: process.env, log, now });
  // first, so that no change is missed while they are read
  const watched = watchFiles(
    credentialFiles(process.env, configInForce),
    async () => {
      credentials.replace(await readSources(read().config, wayOut));
      log.info('credentials were read again');
    },
    (thrown) => complain(thrown, 'credentials could not be read again: those from before stay'),
  );
  credentials.replace(await readSources(configInForce, wayOut));
  const answers = createUpstream(
    transport,
    {
      proxy: createTokenBroker(transport, credentials, meters.onToken),
      anonymous: createTokenBroker(transport, nobodys, meters.onToken),
    },
    issued,
  );

  const shared = {
    store,
    fills,
    links: createLinkTable(index.database, onFault),
    tags: createTagTable(index.database, onFault),
    replies,
    acceptance: createAcceptance(acceptances, seal, now),
    seal,
    uploads,
    buffers: createBuffers(),
    turns: createTurns(),
    pushes: { count: 0 },
    issued,
    limits,
    onFault,
    now,
  };
  const challenges = createStoredChallenges(replies, now);
  /** What one configuration makes of all that lives on. */
  function inForceOf(
    config: Config,
    { matcher, destinations, dialer }: WayOut,
    users: Users | undefined,
  ): InForce {
    return {
      matcher,
      destinations,
      admission: createAdmission(config, users),
      tunnel: createTunnel(config, destinations, dialer),
      pulls: createPulls({
        ...shared,
        config,
        upstream: createConsiderate(answers, { limits, challenges, offline: config.offline }),
        credentials: config.privateImages === 'shared' ? credentials : nobodys,
        intercepts: matcher,
      }),
    };
  }

  async function usersOf({ proxyUsersFile }: Config): Promise<Users | undefined> {
    if (proxyUsersFile === configInForce.proxyUsersFile && users !== undefined) return users;
    return proxyUsersFile === undefined ? undefined : createUsers(proxyUsersFile, log);
  }
  let users: Users | undefined;
  users = await usersOf(configInForce);
  let inForce = inForceOf(configInForce, wayOut, users);

  const peers: Peers = new WeakMap();
  const drain = createDrain();
  const readiness = createReadiness({ ca: authority, store: health, now });
  const readings = createReadings(meters, {
    version,
    drain,
    fills,
    store,
    maxSize: () => configInForce.cacheMaxSize,
    health,
    limits,
    ca: authority,
  });
  const reload = createLoggedReload(log, createLiveConfig(first, read, apply), () => configInForce);
  const admin = await openAdmin({ listen: configInForce.adminListen, readiness, readings, reload, log });
  const logAccess = createAccessLog((line) => accessLog.write(line), now);
  const door = createDoor({
    inForce: () => inForce,
    timeouts: configInForce,
    via,
    contexts: createLeafContexts(authority),
    site: createSite(authority),
    log,
    onFinished(exchange) {
      logAccess(exchange);
      meters.onFinished(exchange);
    },
    onTunnel(client) {
      drain.keep(client);
      meters.onTunnel(client);
    },
    peers,
    onRefused: createRefusalLog((line) => accessLog.write(line)),
    now,
  });
  drain.watch(door);
  const stop = stopSignal();
  const listeners = await openListeners({ config: configInForce, door, peers, drain, log });
  process.stderr.write(
    startSummary({
      version,
      address: listeners.addresses.join(', '),
      admin: admin.address,
      config: configInForce,
      ca: authority,
      cached: store.totals(),
      readOnly: readOnly !== undefined,
    }),
  );

  readiness.enter('listening');

  /** Makes all that a configuration decides, and then puts it in the place of what is there, in one go. */
  async function apply(next: Config): Promise<void> {
    watched.watch(credentialFiles(process.env, next));
    try {
      const nextWayOut = createWayOut(next);
      const whenUnused = async (thrown: unknown): Promise<never> => {
        await nextWayOut.transport.close(); // and what it watches
        throw thrown;
      };
      const sources = await readSources(next, nextWayOut).catch(whenUnused);
      const nextUsers = await usersOf(next).catch(whenUnused);
      inForce = inForceOf(next, nextWayOut, nextUsers);
      const usersBefore = users;
      users = nextUsers;
      wayOut = nextWayOut;
      transport.replace(wayOut.transport);
      credentials.replace(sources);
      configInForce = next;
      if (usersBefore !== nextUsers) await usersBefore?.close();
    } catch (thrown) {
      watched.watch(credentialFiles(process.env, configInForce));
      throw thrown;
    }
    log.level = next.logLevel;
    door.keepAliveTimeout = next.keepaliveTimeout;
  }
  onHangUp(() => void reload());

  const signal = await stop;
  log.info({ signal }, 'draining');
  readiness.enter('draining');
  onHangUp(() => undefined);
  const whole = await drain.end(configInForce.shutdownTimeout);
  if (!whole) log.warn('connections were cut, as they did not end in time');
  await watched.close();
  await transport.close();
  stopSweep();
  await users?.close();
  await listeners.close();
  await fills.idle();
  await uploads.close();
  await store.close();
  index.close();
  admin.close();
  accessLog.flush();
  return 0;
}
