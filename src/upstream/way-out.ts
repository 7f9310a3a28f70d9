import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { createRegistryMatcher, type RegistryMatcher } from '../config/registry-pattern.ts';
import { watchFiles } from '../config/watched-files.ts';
import { asBreakwaterError } from '../registry/errors.ts';
import { createCircuit, withCircuit } from './circuit.ts';
import { createDestinations, type Destinations } from './destinations.ts';
import { measured, type OnAnswered } from './measured.ts';
import { createTlsProfiles, tlsFiles } from './tls/profiles.ts';
import { createTransport, type Transport } from './transport.ts';
import { createDialer, type Dialer } from './way/dialer.ts';
import { createNames, type Names } from './way/names.ts';
import { createRace, type Race } from './way/race.ts';
import { createRoutes } from './way/routes.ts';

/** What one configuration says of registries, of where connections may lead, and of how they are made. */
export interface WayOut {
  readonly matcher: RegistryMatcher;
  readonly destinations: Destinations;
  readonly dialer: Dialer;
  /** Remembers for a moment which hosts cannot be reached; its end is that of all here. */
  readonly transport: Transport;
}

export interface WayOutParts {
  /** What stands in the `Via` of all that the proxy sends. */
  readonly via: string;
  readonly onAnswered: OnAnswered;
  readonly log: Logger;
  readonly now: () => number;
}

/** Makes the way out of each configuration; throws `SETTING_INVALID` where a file of certificates cannot be used. */
export type CreateWayOut = (config: Config) => WayOut;

/** What was learnt of names and addresses lives on from one to the next: in an outage nobody could tell it anew. */
export function createWaysOut(parts: WayOutParts): CreateWayOut {
  const { now } = parts;
  const race = createRace();
  const allNames = createNames({ ipv4Only: false, now });
  const ipv4Names = createNames({ ipv4Only: true, now });
  return (config) => createWayOut(config, parts, race, config.disableIpv6 ? ipv4Names : allNames);
}

function createWayOut(
  config: Config,
  { via, onAnswered, log, now }: WayOutParts,
  race: Race,
  names: Names,
): WayOut {
  const matcher = createRegistryMatcher(config.registries);
  const destinations = createDestinations({
    matcher,
    allow: config.tunnelAllow,
    deny: config.tunnelDeny,
    allowLocal: config.allowLocalAddresses,
  });
  const tls = createTlsProfiles(config);
  const dialer = createDialer({
    names,
    race,
    routes: createRoutes(config),
    tls,
    via,
  });
  const direct = createTransport({
    dialer,
    tls,
    destinations,
    connectTimeout: config.proxyConnectTimeout,
    readTimeout: config.proxyReadTimeout,
    sendTimeout: config.proxySendTimeout,
  });
  const watched = watchFiles(
    tlsFiles(config),
    () => {
      tls.reload();
      log.info('certificates for upstream were read again');
    },
    (thrown) => {
      const { message: reason } = asBreakwaterError(thrown);
      log.error({ reason }, 'certificates for upstream could not be read again: those from before stay');
    },
  );
  const guarded = withCircuit(measured(direct, onAnswered), createCircuit(log, now));
  const transport: Transport = {
    send: (request) => guarded.send(request),
    async close() {
      await watched.close();
      await guarded.close();
    },
  };
  return { matcher, destinations, dialer, transport };
}
