import { createSecureContext, type SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import type { Config } from '../../config/config.ts';
import { connectionRuleFor, type ConnectionRule } from '../../config/connection-rule.ts';
import { BreakwaterError } from '../../registry/errors.ts';
import { readCertificates, readPem, trustedAuthorities } from './trust.ts';

/** How TLS is spoken with one host. */
export interface TlsProfile {
  readonly context: SecureContext;
  readonly verify: boolean;
  /** What it is asked for by, and its certificate must be for; undefined where it is an address. */
  readonly serverName: string | undefined;
  /** The newest session of each host, to take up again. */
  readonly sessions: LRUCache<string, Buffer>;
  readonly host: string;
  readonly port: number;
}

/** Knows how TLS is spoken with each host. */
export interface TlsProfiles {
  profileFor(host: string, port: number): TlsProfile;
  /**
   * Reads the files again; connections that are made from now on are by them.
   * @throws `SETTING_INVALID`; what was read before then stays.
   */
  reload(): void;
}

/** Of what the files say, made once for all connections: each context holds all authorities of the system. */
interface Contexts {
  readonly usual: SecureContext;
  readonly ofRules: ReadonlyMap<ConnectionRule, SecureContext>;
}

const MAX_SESSIONS = 500;

export type TlsSettings = Pick<Config, 'extraCaFile' | 'extraCaDir' | 'verifySsl' | 'connections'>;

/** @throws `SETTING_INVALID` where a file cannot be used. */
export function createTlsProfiles(settings: TlsSettings): TlsProfiles {
  let contexts = readContexts(settings);
  let sessions = new LRUCache<string, Buffer>({ max: MAX_SESSIONS });
  return {
    profileFor(host, port) {
      const rule = connectionRuleFor(settings.connections, host, port);
      return {
        context: (rule && contexts.ofRules.get(rule)) ?? contexts.usual,
        verify: rule?.verify ?? settings.verifySsl,
        serverName: rule?.serverName,
        sessions,
        host,
        port,
      };
    },
    reload() {
      contexts = readContexts(settings);
      // a session that was verified by what held before would stay good
      sessions = new LRUCache<string, Buffer>({ max: MAX_SESSIONS });
    },
  };
}

/** The files that profiles are made of. */
export function tlsFiles({ extraCaFile, extraCaDir, connections }: TlsSettings): readonly string[] {
  return [
    extraCaFile,
    extraCaDir,
    ...connections.flatMap(({ caFile, clientCertificateFile, clientKeyFile }) => [
      caFile,
      clientCertificateFile,
      clientKeyFile,
    ]),
  ].filter((path) => path !== undefined);
}

function readContexts({ extraCaFile, extraCaDir, connections }: TlsSettings): Contexts {
  const trusted = trustedAuthorities(extraCaFile, extraCaDir);
  const special = connections.filter(
    ({ caFile, clientCertificateFile, minTls }) => (caFile ?? clientCertificateFile ?? minTls) !== undefined,
  );
  return {
    // the system names many certificates more than once, and each costs memory
    usual: createSecureContext({ ca: [...new Set(trusted)] }),
    ofRules: new Map(special.map((rule) => [rule, contextOf(rule, trusted)])),
  };
}

function contextOf(rule: ConnectionRule, trusted: readonly string[]): SecureContext {
  const setting = `CONNECTION_RULES, ${rule.host?.source ?? 'every host'}`;
  const own = rule.caFile === undefined ? [] : readCertificates(rule.caFile, setting);
  const { clientCertificateFile, clientKeyFile, minTls } = rule;
  const pair =
    clientCertificateFile === undefined || clientKeyFile === undefined
      ? {}
      : { cert: readPem(clientCertificateFile, setting), key: readPem(clientKeyFile, setting) };
  try {
    return createSecureContext({
      ca: [...new Set([...trusted, ...own])],
      ...pair,
      ...(minTls === undefined ? {} : { minVersion: `TLSv${minTls}` }),
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BreakwaterError(
      'SETTING_INVALID',
      `${setting}: its certificate and key cannot be used: ${reason}`,
      {
        cause,
        mend: 'Write a PEM certificate with its chain, and the private key that belongs to it, without a passphrase.',
      },
    );
  }
}
