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
import { createNames } from './way/names.ts';
import { createRace } from './way/race.ts';
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

/** @throws `SETTING_INVALID` where a file of certificates cannot be used. */
export function createWayOut(config: Config, { via, onAnswered, log, now }: WayOutParts): WayOut {
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
