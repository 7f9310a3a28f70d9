import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, createServer } from 'node:net';
import { connect, TLSSocket, type ConnectionOptions, type SecureContext } from 'node:tls';

interface Handshake {
  readonly leaf: X509Certificate;
  readonly protocol: string | null;
  readonly cipher: string;
}

/** Makes a real handshake over a socket; rejects where the client does not accept the certificate. */
export async function handshake(context: SecureContext, client: ConnectionOptions): Promise<Handshake> {
  const server = createServer((socket) => {
    const secure = new TLSSocket(socket, { isServer: true, secureContext: context });
    secure.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  const socket = connectTcp(address.port, '127.0.0.1');
  const secure = connect({ ...client, socket });
  try {
    await once(secure, 'secureConnect');
    const leaf = secure.getPeerX509Certificate();
    if (leaf === undefined) throw new Error('The server sent no certificate.');
    return { leaf, protocol: secure.getProtocol(), cipher: secure.getCipher().name };
  } finally {
    secure.destroy();
    server.close();
  }
}
