import type { Socket } from 'node:net';
import { plainAddress } from '../../config/address-set.ts';
import { parseProxyHeader } from './proxy-header.ts';

/**
 * Reads the header that a balancer begins a connection with, and puts back what follows it. Gives the client's address,
 * or the balancer's own where it speaks for itself; undefined where the connection was cut, as no header came in time
 * or the bytes are none.
 * @param timeout milliseconds.
 * @param onNone told where the bytes are none, or did not come in time.
 */
export function readProxyHeader(
  socket: Socket,
  timeout: number,
  onNone: () => void,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const timer = setTimeout(cut, timeout);

    function cut(): void {
      onNone();
      socket.destroy();
    }

    function end(address: string | undefined): void {
      clearTimeout(timer);
      socket.off('readable', onReadable);
      socket.off('close', onClose);
      socket.off('end', onEnd);
      resolve(address);
    }
    function onClose(): void {
      end(undefined);
    }
    function onEnd(): void {
      socket.destroy();
    }
    function onReadable(): void {
      for (let chunk: unknown = socket.read(); chunk instanceof Buffer; chunk = socket.read()) {
        bytes = Buffer.concat([bytes, chunk]);
        const header = parseProxyHeader(bytes);
        if (header === 'more') continue;
        if (header === 'invalid') return cut();
        end(header.address === undefined ? (socket.remoteAddress ?? '') : plainAddress(header.address));
        if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
        return;
      }
    }
    socket.on('readable', onReadable);
    socket.once('close', onClose);
    socket.once('end', onEnd);
  });
}
