import { connect } from 'node:net';
import { createTlsClient } from './tls-client.ts';

/** A server to load. */
export interface Target {
  readonly port: number;
  /** Authority of the CONNECT that goes first; undefined for a server that speaks TLS at once. */
  readonly connect?: string;
  readonly serverName: string;
}

interface Answer {
  readonly status: number;
  /** Body bytes. */
  readonly length: number;
}

export interface Connection {
  /**
   * Asks and settles with the last byte of the answer. One at a time.
   * @param onHead called when the headers are there.
   * @param onFirst called with the first bytes of the body.
   */
  get(path: string, onHead?: () => void, onFirst?: () => void): Promise<Answer>;
  close(): void;
}

/** What docker sends, near enough. */
const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');
const READ_BUFFER = 256 * 1024;
// one for all connections: what is read is used up before the next read
const shared = Buffer.allocUnsafeSlow(READ_BUFFER);

/**
 * Opens a connection: TCP, CONNECT where the target wants it, a full TLS 1.3 handshake.
 * @param onBody gets the bytes of bodies, decrypted; where absent they are only counted.
 */
export function open(target: Target, onBody?: (bytes: Buffer) => void): Promise<Connection> {
  return new Promise((resolve, reject) => {
    let tunnelled = target.connect === undefined;
    let settle: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
    let headed: (() => void) | undefined;
    let began: (() => void) | undefined;
    let head = '';
    let status = 0;
    let length = 0;
    let left = 0;

    const socket = connect({
      host: '127.0.0.1',
      port: target.port,
      noDelay: true,
      onread: {
        buffer: shared,
        callback(size, bytes) {
          try {
            onBytes(Buffer.from(bytes.buffer, bytes.byteOffset, size));
          } catch (error) {
            fail(error instanceof Error ? error : new Error(String(error)));
          }
          return true;
        },
      },
    });

    function fail(error: Error): void {
      socket.destroy();
      reject(error);
      settle?.reject(error);
      settle = undefined;
    }

    function body(size: number): void {
      began?.();
      began = undefined;
      left -= size;
      if (left < 0) throw new Error(`${-left} bytes too many`);
      if (left > 0) return;
      const waiting = settle;
      settle = undefined;
      head = '';
      waiting?.resolve({ status, length });
    }

    const tls = createTlsClient(target.serverName, {
      send: (bytes) => void socket.write(bytes),
      secure: () => resolve(connection),
      counting: () => left > 0 && onBody === undefined,
      counted: body,
      content(plain) {
        if (left > 0) {
          onBody?.(plain);
          return body(plain.length);
        }
        head += plain.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
        length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
        if (status !== 200 || Number.isNaN(length))
          throw new Error(`unexpected answer: ${head.slice(0, 300)}`);
        left = length;
        headed?.();
        const begun = head.length - end - 4;
        if (begun > 0) onBody?.(plain.subarray(plain.length - begun));
        if (begun > 0 || length === 0) body(begun);
      },
    });

    function onBytes(bytes: Buffer): void {
      if (tunnelled) return tls.receive(bytes);
      if (!bytes.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error('CONNECT refused');
      tunnelled = true;
      tls.start();
    }

    const connection: Connection = {
      get(path, onHead, onFirst) {
        return new Promise((answered, failed) => {
          headed = onHead;
          began = onFirst;
          settle = { resolve: answered, reject: failed };
          const request = `GET ${path} HTTP/1.1\r\nHost: ${target.connect ?? target.serverName}\r\nUser-Agent: bench\r\nAccept: ${ACCEPT}\r\n\r\n`;
          tls.send(Buffer.from(request, 'latin1'));
        });
      },
      close: () => void socket.destroy(),
    };
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('the server closed the connection')));
    socket.on('connect', () => {
      if (tunnelled) tls.start();
      else socket.write(`CONNECT ${target.connect} HTTP/1.1\r\nHost: ${target.connect}\r\n\r\n`);
    });
  });
}
