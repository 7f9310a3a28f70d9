import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { createRegistryMatcher, type RegistryMatcher } from '../config/registry-pattern.ts';
import { createCircuit, withCircuit } from './circuit.ts';
import { createDestinations, type Destinations } from './destinations.ts';
import { measured, type OnAnswered } from './measured.ts';
import { createTransport, type Transport } from './transport.ts';
import { trustContext } from './trust.ts';

/** What one configuration says of registries, of where connections may lead, and of how they are made. */
export interface WayOut {
  readonly matcher: RegistryMatcher;
  readonly destinations: Destinations;
  /** Remembers for a moment which hosts cannot be reached. */
  readonly transport: Transport;
}

/** @throws `SETTING_INVALID` where the file of certificates cannot be used. */
export function createWayOut(config: Config, onAnswered: OnAnswered, log: Logger, now: () => number): WayOut {
  const matcher = createRegistryMatcher(config.registries);
  const destinations = createDestinations({
    matcher,
    allow: config.tunnelAllow,
    deny: config.tunnelDeny,
    allowLocal: config.allowLocalAddresses,
  });
  const transport = createTransport({
    destinations,
    secureContext: trustContext(config.extraCaFile),
    verify: config.verifySsl,
    ipv4Only: config.disableIpv6,
    connectTimeout: config.proxyConnectTimeout,
    readTimeout: config.proxyReadTimeout,
    sendTimeout: config.proxySendTimeout,
  });
  return {
    matcher,
    destinations,
    transport: withCircuit(measured(transport, onAnswered), createCircuit(log, now)),
  };
}
