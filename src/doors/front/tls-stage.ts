import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { watchFiles } from '../../config/watched-files.ts';
import { asBreakwaterError, BreakwaterError } from '../../registry/errors.ts';
import type { Client } from '../access/admission.ts';
import { carrierOf } from '../carrier.ts';
import type { User } from '../access/users.ts';

/** The files of a listener for TLS. */
interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** The CAs of client certificates; undefined where there are none. */
  readonly clientCa: string | undefined;
}

/** Speaks TLS with clients in the proxy's own name. */
export interface TlsStage {
  /** Shakes hands on a new connection of a client at this address. */
  enter(socket: Socket, address: string): void;
  close(): Promise<void>;
}

interface TlsStageParts {
  readonly files: TlsFiles;
  /** Milliseconds for a handshake. */
  readonly timeout: number;
  readonly log: Logger;
  readonly onSecure: (secured: Socket, client: Client) => void;
}

/**
 * Reads the files, now and whenever one changes; a change that cannot be used, such as a certificate whose key is still
 * to come, leaves what was known.
 * @throws `SETTING_INVALID` at the start.
 */
export function createTlsStage({ files, timeout, log, onSecure }: TlsStageParts): TlsStage {
  const addresses = new WeakMap<object, string>();
  const server = createServer({
    ...readIdentity(files),
    requestCert: files.clientCa !== undefined,
    // whoever has none is a client without a name; one that is not accepted is cut below
    rejectUnauthorized: false,
    handshakeTimeout: timeout,
    // as the door's own connections are: a client that ended its side may still be answered
    allowHalfOpen: true,
    ALPNProtocols: ['http/1.1'],
  });
  server.on('secureConnection', (secured) => {
    const address = addresses.get(carrierOf(secured) ?? secured) ?? '';
    const user = files.clientCa === undefined ? undefined : certificateUser(secured);
    if (user !== 'untrusted') return onSecure(secured, { address, user });
    const reason = String(secured.authorizationError);
    log.info({ client: address, reason }, 'client certificate not accepted');
    secured.destroy();
  });
  server.on('tlsClientError', (error, secured) => {
    const client = addresses.get(carrierOf(secured) ?? secured) ?? '';
    log.debug({ client, reason: error.message }, 'tls handshake with the proxy failed');
    secured.destroy();
  });

  const names = [files.certificate, files.key, files.clientCa].filter((name) => name !== undefined);
  const watched = watchFiles(
    names,
    () => {
      server.setSecureContext(readIdentity(files));
      log.info({ files: names }, 'certificate of LISTEN_TLS read again');
    },
    (thrown) => {
      const reason = asBreakwaterError(thrown).message;
      log.warn(
        { files: names, reason },
        'certificate of LISTEN_TLS cannot be read again; the one before stays',
      );
    },
  );
  return {
    enter(socket, address) {
      addresses.set(socket, address);
      server.emit('connection', socket);
    },
    close: () => watched.close(),
  };
}

/** The user that a certificate names; undefined without one. */
function certificateUser(secured: TLSSocket): User | 'untrusted' | undefined {
  const certificate = secured.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  if (!secured.authorized) return 'untrusted';
  const { CN } = certificate.toLegacyObject().subject;
  const [name] = [CN].flat();
  return name === undefined || name === '' ? 'untrusted' : { name, isCurrent: () => true };
}

function readIdentity({ certificate, key, clientCa }: TlsFiles): SecureContextOptions {
  try {
    const identity: SecureContextOptions = {
      cert: readFileSync(certificate),
      key: readFileSync(key),
      ...(clientCa === undefined ? {} : { ca: readFileSync(clientCa) }),
      minVersion: 'TLSv1.2',
    };
    createSecureContext(identity); // fails for what cannot be used, before anything is changed
    return identity;
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new BreakwaterError('SETTING_INVALID', `the certificate of LISTEN_TLS cannot be used: ${reason}`, {
      cause: thrown,
      mend: 'LISTEN_TLS_CERT_FILE and LISTEN_TLS_KEY_FILE must be PEM files that belong together, the key without a passphrase.',
    });
  }
}
