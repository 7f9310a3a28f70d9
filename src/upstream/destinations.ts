import { isIP } from 'node:net';
import { parseAddressSet, type AddressSet } from '../config/address-set.ts';
import { addressAndEmbedded } from '../config/embedded-address.ts';
import type { RegistryMatcher } from '../config/registry-pattern.ts';
import { namesTarget, type TargetPattern } from '../config/target-list.ts';
import { BreakwaterError } from '../registry/errors.ts';

/**
 * Gives the failure of leading to an address; undefined where a connection may lead there. The address is undefined
 * where only a proxy on the way knows it: what is refused is what this machine reaches, and the proxy is elsewhere.
 */
export type AddressCheck = (address: string | undefined) => BreakwaterError | undefined;

/** Decides where connections may lead: whoever names a host must not reach what only this machine should. */
export interface Destinations {
  /**
   * For what a registry says: its redirects and token services; undefined where every address will do, as the host is
   * one that the configuration names.
   */
  ofRegistries(host: string, port: number): AddressCheck | undefined;
  /**
   * For what clients say: tunnels, and plain HTTP to hosts that are no registries.
   * @throws `TUNNEL_REFUSED` where the name or the port decides already.
   */
  ofClients(host: string, port: number): AddressCheck;
}

export interface DestinationRules {
  readonly matcher: RegistryMatcher;
  readonly allow: readonly TargetPattern[];
  readonly deny: readonly TargetPattern[];
  /** Of `LOCAL`, what is allowed. */
  readonly allowLocal: AddressSet;
}

/** This machine, its links, groups, and where clouds hand out the credentials of machines. */
const LOCAL = parseAddressSet(
  '0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 224.0.0.0/4 240.0.0.0/4 ::/128 ::1/128 fe80::/10 ff00::/8 ' +
    // Alibaba, Azure, Oracle; AWS, Google, Scaleway, Oracle
    '100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::/64 fd20:ce::254 fd00:42::42 fd00:c1::a9fe:a9fe',
);

export function createDestinations({ matcher, allow, deny, allowLocal }: DestinationRules): Destinations {
  /** What holds for an address whoever named it. */
  function reasonAgainst(address: string, port: number): string | undefined {
    for (const candidate of addressAndEmbedded(address)) {
      const denied = deny.find(
        ({ host, hasPort }) => host.kind === 'addresses' && hasPort(port) && host.set.has(candidate),
      );
      if (denied !== undefined) return `TUNNEL_DENY has ${denied.source}`;
      if (LOCAL.has(candidate) && !allowLocal.has(candidate))
        return 'it is loopback, link-local, multicast or metadata';
    }
    return undefined;
  }

  return {
    ofRegistries(host, port) {
      if (matcher.names(host, port)) return undefined;
      return (address) => {
        const reason = address === undefined ? undefined : reasonAgainst(address, port);
        if (reason === undefined) return undefined;
        const message = `${host} leads to ${address}, and ${reason}`;
        return new BreakwaterError('UPSTREAM_ADDRESS', message, { mend: mendOf(reason) });
      };
    },

    ofClients(host, port) {
      const refused = (what: string, reason: string, mend: string): BreakwaterError =>
        new BreakwaterError('TUNNEL_REFUSED', `${what} may not be reached: ${reason}`, { mend });
      const denied = deny.find((pattern) => namesTarget(pattern, host, port));
      if (denied !== undefined)
        throw refused(`${host}:${port}`, `TUNNEL_DENY has ${denied.source}`, DENIED_MEND);
      const named = allow.some((pattern) => namesTarget(pattern, host, port));
      const networks = allow.filter((pattern) => pattern.host.kind === 'addresses' && pattern.hasPort(port));
      const none = 'TUNNEL_ALLOW has no entry for it';
      // the address decides, where a network might have it
      if (!named && (networks.length === 0 || isIP(host) !== 0))
        throw refused(`${host}:${port}`, none, ALLOW_MEND);
      return (address) => {
        if (address === undefined) return named ? undefined : refused(`${host}:${port}`, none, ALLOW_MEND);
        const reason = reasonAgainst(address, port);
        if (reason !== undefined) return refused(`${host}:${port} at ${address}`, reason, mendOf(reason));
        if (named || networks.some((pattern) => namesTarget(pattern, address, port))) return undefined;
        return refused(`${host}:${port} at ${address}`, none, ALLOW_MEND);
      };
    },
  };
}

const ALLOW_MEND = 'Add the host and port to TUNNEL_ALLOW of the proxy, or list a registry in REGISTRIES.';
const DENIED_MEND = 'Take it out of TUNNEL_DENY of the proxy.';
const LOCAL_MEND =
  'Add the address to ALLOW_LOCAL_ADDRESSES of the proxy, or list a registry by its whole name in REGISTRIES.';

function mendOf(reason: string): string {
  return reason.startsWith('TUNNEL_DENY') ? DENIED_MEND : LOCAL_MEND;
}

/** The failure of leading to a host that is an address itself. */
export function checkLiteral(host: string, check: AddressCheck): BreakwaterError | undefined {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  return isIP(bare) === 0 ? undefined : check(bare);
}
