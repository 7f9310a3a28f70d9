import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CacheStatus, CacheType } from '../cache/status.ts';
import type { Digest } from '../registry/digest.ts';
import type { BreakwaterError } from '../registry/errors.ts';
import type { RegistryHost } from '../registry/registry-host.ts';
import { identityOf, type Identity } from '../upstream/identity.ts';

/** One request of one client to one registry, and what became of it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly registry: RegistryHost;
  readonly clientAddress: string;
  /** The name of the user that is logged in at the proxy. */
  readonly user: string | undefined;
  readonly identity: Identity;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Filled in on the way; read once, when the exchange is finished. */
  readonly outcome: Outcome;
}

interface Outcome {
  cacheStatus: CacheStatus | undefined;
  cacheType: CacheType;
  /** Host that gave the bytes, where upstream was asked. */
  upstream: string | undefined;
  /** Milliseconds from the request to upstream to its headers; undefined where it was not asked. */
  upstreamTime: number | undefined;
  /** Body bytes handed to the client. */
  bytesSent: number;
  digest: Digest | undefined;
  /** Whether the bytes come from a fill that another request began. */
  joined: boolean;
  error: BreakwaterError | undefined;
}

export function createExchange(
  request: IncomingMessage,
  response: ServerResponse,
  registry: RegistryHost,
  { address, user }: { readonly address: string; readonly user: { readonly name: string } | undefined },
  now: number,
): Exchange {
  return {
    request,
    response,
    registry,
    clientAddress: address,
    user: user?.name,
    identity: identityOf(request.headers.authorization),
    startedAt: now,
    outcome: {
      cacheStatus: undefined,
      cacheType: 'unknown',
      upstream: undefined,
      upstreamTime: undefined,
      bytesSent: 0,
      digest: undefined,
      joined: false,
      error: undefined,
    },
  };
}

/** The headers by which the reference says how an answer came about; sent on every answer of a registry. */
export function cacheHeaders({ outcome }: Exchange): Record<string, string> {
  return {
    'X-Docker-Registry-Proxy-Cache-Upstream-Status': outcome.cacheStatus ?? '',
    'X-Docker-Registry-Proxy-Cache-Type': outcome.cacheType,
    // RFC 9111 dropped Warning; registry clients show it to people all the same
    ...(outcome.cacheStatus === 'STALE' ? { Warning: '110 - "Response is Stale"' } : {}),
  };
}
