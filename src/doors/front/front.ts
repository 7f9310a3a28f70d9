import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { plainAddress, type AddressSet } from '../../config/address-set.ts';
import type { BreakwaterError } from '../../registry/errors.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { readProxyHeader } from './read-proxy-header.ts';

export interface FrontParts {
  /** Balancers that begin their connections with the PROXY protocol. */
  readonly balancers: AddressSet;
  /** Milliseconds that they may take for it. */
  readonly timeout: number;
  readonly limits: ConnectionLimits;
  readonly log: Logger;
  /** Takes a connection, and the address of whoever is behind it. */
  readonly onConnection: (socket: Socket, address: string) => void;
  /** Ends a connection for which there is no room. */
  readonly onRefused: (socket: Socket, error: BreakwaterError) => void;
}

/** A listener that takes from a connection what balancers put before everything else, and counts it. */
export function createFront(parts: FrontParts): Server {
  const { balancers, timeout, limits, log, onConnection, onRefused } = parts;
  const behindBalancers = balancers.sources.length > 0;

  async function arrive(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy()); // a client that resets is gone, and nothing is lost
    const from = plainAddress(socket.remoteAddress ?? '');
    const isBalancer = behindBalancers && balancers.has(from);
    const address = isBalancer ? await readProxyHeader(socket, timeout, tellNone) : from;
    if (address === undefined || socket.destroyed) return;
    const refusal = limits.admit(socket, address);
    if (refusal === undefined) onConnection(socket, address);
    else onRefused(socket, refusal);

    function tellNone(): void {
      log.info({ balancer: from }, 'connection cut: it did not begin with the PROXY protocol');
    }
  }
  return createServer(
    { noDelay: true, keepAlive: true, allowHalfOpen: true },
    (socket) => void arrive(socket),
  );
}
