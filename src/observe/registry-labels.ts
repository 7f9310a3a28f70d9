import { parseHostPort } from '../config/host-port.ts';
import type { RegistryPattern } from '../config/registry-pattern.ts';
import { DOCKER_HUB, DOCKER_HUB_REALM } from '../registry/docker-hub.ts';
import { registryHost } from '../registry/registry-host.ts';

/** Gives hosts a label out of a set that only the configuration can make larger. */
export interface RegistryLabels {
  readonly labelFor: (host: string, port: number) => string;
  /** The same by a registry's name, which has no port where that is 443. */
  readonly labelOf: (name: string) => string;
  readonly all: readonly string[];
}

const OTHER = 'other';

/** The label is the pattern that a host falls under: exact before suffix, the longer suffix first. */
export function createRegistryLabels(patterns: readonly RegistryPattern[]): RegistryLabels {
  const exact = new Map([DOCKER_HUB, DOCKER_HUB_REALM].map((name) => [`${name}:443`, name]));
  for (const { match, host, port, scheme } of patterns) {
    if (match === 'exact') exact.set(`${host}:${port}`, registryHost(host, port, scheme).name);
  }
  const suffixes = patterns
    .filter(({ match }) => match !== 'exact')
    .map(({ match, host, port, scheme }) => ({
      label: `${match === 'below' ? '*.' : '.'}${registryHost(host, port, scheme).name}`,
      itself: match === 'domain' ? host : undefined,
      suffix: `.${host}`,
      port,
    }))
    .sort((a, b) => b.suffix.length - a.suffix.length);
  function labelFor(host: string, port: number): string {
    const label = exact.get(`${host}:${port}`);
    if (label !== undefined) return label;
    const found = suffixes.find(
      (entry) => entry.port === port && (entry.itself === host || host.endsWith(entry.suffix)),
    );
    return found?.label ?? OTHER;
  }

  return {
    labelFor,
    labelOf(name) {
      const { host = '', port = 443 } = parseHostPort(name) ?? {};
      return labelFor(host, port);
    },
    all: [...new Set([...exact.values(), ...suffixes.map(({ label }) => label), OTHER])],
  };
}
