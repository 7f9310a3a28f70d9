import type { Config } from '../../config/config.ts';
import { LOOPBACK } from '../../config/address-set.ts';
import { connectionRuleFor } from '../../config/connection-rule.ts';
import type { ProxyAddress } from '../../config/proxy-address.ts';
import { namesTarget } from '../../config/target-list.ts';

/** A proxy that a connection goes through, and the setting that says so. */
export interface Hop {
  readonly proxy: ProxyAddress;
  readonly setting: string;
}

/** What goes to a host: plain HTTP, TLS, or whatever a client sends through a tunnel. */
export type Traffic = 'http' | 'https' | 'tunnel';

/** Tells the proxy on the way to a host; undefined where there is none. */
export type Routes = (traffic: Traffic, host: string, port: number) => Hop | undefined;

export function createRoutes({
  httpsProxy,
  httpProxy,
  noProxy,
  connections,
}: Pick<Config, 'httpsProxy' | 'httpProxy' | 'noProxy' | 'connections'>): Routes {
  return (traffic, host, port) => {
    const chosen = connectionRuleFor(connections, host, port)?.proxy;
    if (chosen === 'none') return undefined;
    if (chosen !== undefined) return { proxy: chosen, setting: 'CONNECTION_RULES' };
    const proxy = traffic === 'http' ? httpProxy : httpsProxy;
    if (proxy === undefined || isLoopback(host)) return undefined;
    if (noProxy.some((pattern) => namesTarget(pattern, host, port))) return undefined;
    return { proxy, setting: traffic === 'http' ? 'HTTP_PROXY' : 'HTTPS_PROXY' };
  };
}

/** As elsewhere: another machine's loopback is never meant (curl and Go do the same). */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || LOOPBACK.has(host);
}
