import type { Server as HttpServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import { carrierOf } from './carrier.ts';

/** Ends a server without cutting what is under way. */
export interface Drain {
  /** Counts a server's connections from now on; before it listens. */
  watch(server: HttpServer): void;
  /** Counts the connections of a listener before such a server. */
  watchFront(front: Server): void;
  /** Connections with a request under way. */
  readonly active: number;
  /** A connection that carries a tunnel: whether it is at work, only its bytes tell. */
  keep(socket: Socket): void;
  /**
   * Stops accepting, lets answers under way finish, ends idle connections at once and all others after
   * `timeout` milliseconds; settles when the last connection is gone. True where none had to be cut.
   */
  end(timeout: number): Promise<boolean>;
}

/** A tunnel through which nothing passed for this long, in milliseconds, is idle. */
const IDLE_TUNNEL = 5_000;

export function createDrain(): Drain {
  const servers = new Set<Server>();
  const sockets = new Set<Socket>();
  const busy = new Set<Socket>();
  const tunnels = new Set<Socket>();
  let draining = false;

  function count(server: Server): void {
    servers.add(server);
    // also those that a CONNECT took out of the server's sight
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
  }

  return {
    get active() {
      return busy.size;
    },
    watchFront: count,
    watch(server) {
      count(server);
      server.on('request', (request, response) => {
        const { socket } = request;
        busy.add(socket);
        if (draining) response.shouldKeepAlive = false;
        response.once('close', () => {
          busy.delete(socket);
          if (draining) socket.destroySoon();
        });
      });
    },
    keep(socket) {
      tunnels.add(socket);
      socket.once('close', () => tunnels.delete(socket));
    },
    async end(timeout) {
      draining = true;
      const closed = [...servers].map(
        (server) => new Promise<void>((resolve) => void server.close(() => resolve())),
      );
      for (const socket of sockets) {
        if (tunnels.has(socket)) endWhenIdle(socket);
        else if (!busy.has(socket) && !isCarrier(socket, busy) && !isCarrier(socket, tunnels))
          socket.destroySoon();
      }
      let cut = false;
      const timer = setTimeout(() => {
        cut = sockets.size > 0;
        for (const socket of sockets) socket.destroy();
      }, timeout);
      await Promise.all(closed);
      await Promise.all(
        [...sockets].map((socket) => new Promise((resolve) => void socket.once('close', resolve))),
      );
      clearTimeout(timer);
      return !cut;
    },
  };
}

function endWhenIdle(socket: Socket): void {
  const passed = (): number => socket.bytesRead + socket.bytesWritten;
  let before = passed();
  const timer = setInterval(() => {
    if (passed() === before) socket.destroySoon();
    before = passed();
  }, IDLE_TUNNEL);
  socket.once('close', () => clearInterval(timer));
}

/** True for a socket below a TLS one that is at work; ending it would cut the answer. */
function isCarrier(socket: Socket, busy: ReadonlySet<Socket>): boolean {
  for (const secure of busy) {
    let carrier = carrierOf(secure);
    while (carrier !== undefined && carrier !== socket) carrier = carrierOf(carrier);
    if (carrier === socket) return true;
  }
  return false;
}
