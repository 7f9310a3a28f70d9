import { createServer, type Server, type Socket } from 'node:net';
import type { AddressSet } from '../../config/address-set.ts';
import { readProxyHeader } from './read-proxy-header.ts';

export interface FrontParts {
  /** Balancers that begin their connections with the PROXY protocol. */
  readonly balancers: AddressSet;
  /** Milliseconds that they may take for it. */
  readonly timeout: number;
  /** Takes a connection, and the address of whoever is behind it. */
  readonly onConnection: (socket: Socket, address: string) => void;
}

/** A listener that takes from a connection what balancers put before everything else. */
export function createFront({ balancers, timeout, onConnection }: FrontParts): Server {
  async function arrive(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy()); // a client that resets is gone, and nothing is lost
    const { remoteAddress = '' } = socket;
    const isBalancer = balancers.has(remoteAddress);
    const address = isBalancer ? await readProxyHeader(socket, timeout) : remoteAddress;
    if (address !== undefined && !socket.destroyed) onConnection(socket, address);
  }
  return createServer(
    { noDelay: true, keepAlive: true, allowHalfOpen: true },
    (socket) => void arrive(socket),
  );
}
