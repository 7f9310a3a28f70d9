import { sharedSecret, clientHello } from './hello.ts';
import {
  applicationKeys,
  handshakeKeys,
  hmac,
  recordHeader,
  seal,
  sha256,
  unseal,
  type HandshakeKeys,
  type TrafficKeys,
} from './key-schedule.ts';

/** What a TLS client tells its owner. */
export interface TlsEvents {
  readonly send: (bytes: Buffer) => void;
  /** The handshake is done: requests can go. */
  readonly secure: () => void;
  /** Content that was asked for; valid only during the call. */
  readonly content: (plain: Buffer) => void;
  /** Content that was only counted. */
  readonly counted: (length: number) => void;
  /** True where the next record's content is of no interest, its length apart. */
  readonly counting: () => boolean;
}

export interface TlsClient {
  start(): void;
  receive(bytes: Buffer): void;
  send(plain: Buffer): void;
}

const HANDSHAKE = 22;
const APPLICATION = 23;
const FINISHED = 20;
const RECORD_OVERHEAD = 17;

/**
 * A client of TLS 1.3 for loads: it takes any certificate, and counts the records of bodies without decrypting
 * them, so that it costs a fraction of what the server does and never is the bottleneck.
 */
export function createTlsClient(serverName: string, events: TlsEvents): TlsClient {
  const hello = clientHello(serverName);
  const header = Buffer.alloc(5);
  const record = Buffer.allocUnsafe(17_000);
  let headerFill = 0;
  let length = 0;
  let fill = 0;
  let keep = true;
  let received = 0;
  let sent = 0;
  let transcript = [hello];
  let messages = Buffer.alloc(0);
  let handshake: HandshakeKeys | undefined;
  let application: { readonly server: TrafficKeys; readonly client: TrafficKeys } | undefined;

  function endRecord(): void {
    if (!keep) {
      received += 1;
      return events.counted(length - RECORD_OVERHEAD);
    }
    const body = record.subarray(0, length);
    if (header[0] === HANDSHAKE) return onServerHello(body);
    if (header[0] !== APPLICATION) return;
    const keys = application?.server ?? handshake?.server;
    if (keys === undefined) throw new Error('sealed record before the ServerHello');
    const { type, plain } = unseal(keys, received, header, body);
    received += 1;
    if (type === APPLICATION) events.content(plain);
    else if (application === undefined) onHandshake(plain);
    else if (type !== HANDSHAKE) throw new Error(`the server sent an alert: ${plain.toString('hex')}`);
  }

  function onServerHello(message: Buffer): void {
    transcript.push(Buffer.from(message));
    handshake = handshakeKeys(sharedSecret(message), sha256(...transcript));
  }

  function onHandshake(plain: Buffer): void {
    messages = Buffer.concat([messages, plain]);
    for (let at = 0; at + 4 <= messages.length;) {
      const end = at + 4 + messages.readUIntBE(at + 1, 3);
      if (end > messages.length) break;
      if (messages[at] === FINISHED) return finish(messages.subarray(0, end));
      at = end;
    }
  }

  function finish(all: Buffer): void {
    if (handshake === undefined) return;
    const hash = sha256(...transcript, all);
    transcript = [];
    const verify = hmac(handshake.finished, hash);
    events.send(
      seal(handshake.client, 0, HANDSHAKE, Buffer.concat([Buffer.of(FINISHED, 0, 0, verify.length), verify])),
    );
    application = applicationKeys(handshake.master, hash);
    received = 0;
    events.secure();
  }

  return {
    start: () => events.send(Buffer.concat([recordHeader(HANDSHAKE, hello.length), hello])),
    send(plain) {
      if (application === undefined) throw new Error('not secure yet');
      events.send(seal(application.client, sent, APPLICATION, plain));
      sent += 1;
    },
    receive(bytes) {
      for (let at = 0; at < bytes.length;) {
        if (headerFill < 5) {
          const taken = bytes.copy(header, headerFill, at, at + 5 - headerFill);
          headerFill += taken;
          at += taken;
          if (headerFill < 5) return;
          length = header.readUInt16BE(3);
          fill = 0;
          keep = application === undefined || !events.counting();
          continue;
        }
        const taken = Math.min(length - fill, bytes.length - at);
        if (keep) bytes.copy(record, fill, at, at + taken);
        fill += taken;
        at += taken;
        if (fill < length) return;
        headerFill = 0;
        endRecord();
      }
    },
  };
}
