import * as v from 'valibot';
import { hostPortName } from '../registry/registry-host.ts';
import type { GlobMatcher } from './glob.ts';
import { oneOf, parsePath } from './plain-values.ts';
import { parseProxyOrNone, type ProxyAddress } from './proxy-address.ts';
import { parseJson } from './json-text.ts';
import { parseRegistryGlob } from './registry-glob.ts';
import { flag, parsed, readList, StructureError, type StructureFault } from './structure.ts';

/** How the hosts that a rule matches are reached; the first rule that matches a host decides. */
export interface ConnectionRule {
  /** Takes a host's name, `host` or `host:port` where the port is not 443; undefined takes all. */
  readonly host?: GlobMatcher | undefined;
  /** In place of `HTTPS_PROXY` and `HTTP_PROXY`, whatever `NO_PROXY` says. */
  readonly proxy?: ProxyAddress | 'none' | undefined;
  /** PEM files: further authorities, and what shows who we are. */
  readonly caFile?: string | undefined;
  readonly clientCertificateFile?: string | undefined;
  readonly clientKeyFile?: string | undefined;
  /** Whether its certificate is verified. */
  readonly verify?: boolean | undefined;
  readonly minTls?: '1.2' | '1.3' | undefined;
  /** The name it is asked for by, and that its certificate must have. */
  readonly serverName?: string | undefined;
}

const SHAPE = {
  noun: 'rule',
  entries: {
    host: v.optional(parsed(parseRegistryGlob)),
    proxy: v.optional(parsed(parseProxyOrNone)),
    ca_file: v.optional(parsed(parsePath)),
    client_certificate_file: v.optional(parsed(parsePath)),
    client_key_file: v.optional(parsed(parsePath)),
    verify: v.optional(flag),
    min_tls: v.optional(parsed(oneOf('1.2', '1.3'))),
    server_name: v.optional(parsed(parsePath)),
  },
} as const;

/** Parses the rules as JSON, as the environment has them. */
export function parseConnectionRules(text: string): readonly ConnectionRule[] {
  return readConnectionRules(parseJson(text, '[{"host":"registry.local:5000","ca_file":"/ca.pem"}]', true));
}

/** Reads the rules as a list of mappings. */
export function readConnectionRules(value: unknown): readonly ConnectionRule[] {
  const rules = readList(value, SHAPE);
  const faults = rules.flatMap((rule, index): readonly StructureFault[] => {
    const [given, missing] =
      rule.client_key_file === undefined
        ? (['client_certificate_file', 'client_key_file'] as const)
        : (['client_key_file', 'client_certificate_file'] as const);
    if (rule[given] === undefined || rule[missing] !== undefined) return [];
    const reason = `rule ${index + 1}: ${given} has no ${missing}`;
    return [{ at: [index, given], reason, mend: 'A certificate and its key belong together: write both.' }];
  });
  if (faults.length > 0) throw new StructureError(faults);
  return rules.map((rule) => ({
    host: rule.host,
    proxy: rule.proxy,
    caFile: rule.ca_file,
    clientCertificateFile: rule.client_certificate_file,
    clientKeyFile: rule.client_key_file,
    verify: rule.verify,
    minTls: rule.min_tls,
    serverName: rule.server_name,
  }));
}

/** The rule that decides for a host. */
export function connectionRuleFor(
  rules: readonly ConnectionRule[],
  host: string,
  port: number,
): ConnectionRule | undefined {
  const name = hostPortName(host, port);
  return rules.find((rule) => rule.host?.matches(name) ?? true);
}
