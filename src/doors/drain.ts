import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Ends a server without cutting what is under way. */
export interface Drain {
  /**
   * Stops accepting, lets answers under way finish, ends idle connections at once and all others after
   * `timeout` milliseconds; settles when the last connection is gone. True where none had to be cut.
   */
  end(timeout: number): Promise<boolean>;
}

export function createDrain(server: Server): Drain {
  const sockets = new Set<Socket>();
  const busy = new Set<Socket>();
  let draining = false;
  // also those that a CONNECT took out of the server's sight
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (request, response) => {
    const { socket } = request;
    busy.add(socket);
    if (draining) response.shouldKeepAlive = false;
    response.once('close', () => {
      busy.delete(socket);
      if (draining) socket.destroySoon();
    });
  });
  return {
    async end(timeout) {
      draining = true;
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const socket of sockets) if (!busy.has(socket) && !isCarrier(socket, busy)) socket.destroySoon();
      let cut = false;
      const timer = setTimeout(() => {
        cut = sockets.size > 0;
        for (const socket of sockets) socket.destroy();
      }, timeout);
      await closed;
      await Promise.all(
        [...sockets].map((socket) => new Promise((resolve) => void socket.once('close', resolve))),
      );
      clearTimeout(timer);
      return !cut;
    },
  };
}

/** True for the raw socket below a TLS one that is at work; ending it would cut the answer. */
function isCarrier(socket: Socket, busy: ReadonlySet<Socket>): boolean {
  for (const secure of busy) if ('_parent' in secure && secure._parent === socket) return true;
  return false;
}
