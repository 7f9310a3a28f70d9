import { DER_TRUE, derBits, derOctets, derOid, derSequence, derTaggedBytes } from './der.ts';

/** Certificate extensions by their object identifiers (RFC 5280, 4.2.1). */
export const EXTENSION = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** GeneralName choices (RFC 5280, 4.2.1.6). */
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** `CA:TRUE` without a limit to the path below it. */
export function certificateAuthority(): Buffer {
  return extension(EXTENSION.basicConstraints, true, derSequence(DER_TRUE));
}

/** keyCertSign (bit 5) and cRLSign (bit 6). */
export function usableForSigningCertificates(): Buffer {
  return extension(EXTENSION.keyUsage, true, derBits(Buffer.of(0b0000_0110), 1));
}

/** digitalSignature (bit 0): all that an EC key does in TLS 1.2 and 1.3. */
export function usableForHandshakes(): Buffer {
  return extension(EXTENSION.keyUsage, true, derBits(Buffer.of(0b1000_0000), 7));
}

export function forServers(): Buffer {
  return extension(EXTENSION.extendedKeyUsage, false, derSequence(derOid(SERVER_AUTH)));
}

export function subjectKeyIdentifier(id: Buffer): Buffer {
  return extension(EXTENSION.subjectKeyId, false, derOctets(id));
}

export function authorityKeyIdentifier(id: Buffer): Buffer {
  return extension(EXTENSION.authorityKeyId, false, derSequence(derTaggedBytes(0, id)));
}

/** The one name a leaf is for; critical where the certificate has no subject (RFC 5280, 4.2.1.6). */
export function alternativeName(name: string | Buffer, critical: boolean): Buffer {
  const general =
    typeof name === 'string'
      ? derTaggedBytes(DNS_NAME, Buffer.from(name, 'latin1'))
      : derTaggedBytes(IP_ADDRESS, name);
  return extension(EXTENSION.subjectAltName, critical, derSequence(general));
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const parts = critical ? [derOid(oid), DER_TRUE, derOctets(value)] : [derOid(oid), derOctets(value)];
  return derSequence(...parts);
}
