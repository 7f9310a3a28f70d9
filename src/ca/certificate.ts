import { createHash, createPublicKey, randomBytes, sign, type KeyObject } from 'node:crypto';
import {
  DER_NULL,
  derBits,
  derInteger,
  derOid,
  derSequence,
  derSet,
  derTagged,
  derTime,
  derUtf8,
  readDer,
} from './der.ts';
import { EXTENSION } from './extension.ts';

/*
 * Certificates are written by hand because only two shapes are ever made, a root and a leaf: the general
 * library for it loads for 130 ms, holds 20 MB and takes 6 ms a certificate where the signature takes 0.1.
 */

/** What a certificate says; names and extensions are DER. */
interface CertificateContent {
  /** DER of the issuer's name, byte for byte as in the issuer's own certificate: Go compares the bytes. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Buffer[];
}

/** What is read from an issuer's certificate to sign below it. */
interface IssuerIdentity {
  /** DER. */
  readonly name: Buffer;
  readonly keyId: Buffer;
}

const SIGNATURE_ALGORITHM = {
  rsa: { digest: 'sha256', identifier: derSequence(derOid('1.2.840.113549.1.1.11'), DER_NULL) },
  ec: { digest: 'sha256', identifier: derSequence(derOid('1.2.840.10045.4.3.2')) },
  ed25519: { digest: null, identifier: derSequence(derOid('1.3.101.112')) },
} as const;

const VERSION_3 = derTagged(0, derInteger(Buffer.of(2)));
const COMMON_NAME = derOid('2.5.4.3');

/** Whether certificates can be signed with such a key: RSA, EC or Ed25519. */
export function canSign(key: KeyObject): boolean {
  return signatureAlgorithm(key) !== undefined;
}

/**
 * Signs a version 3 certificate with a random serial number, off the main thread (RSA-4096 takes 6 ms).
 * @returns DER
 */
export async function issueCertificate(content: CertificateContent, signingKey: KeyObject): Promise<Buffer> {
  const algorithm = signatureAlgorithm(signingKey);
  if (algorithm === undefined) throw new TypeError(`No signature with ${signingKey.asymmetricKeyType} keys.`);
  const signed = derSequence(
    VERSION_3,
    derInteger(serialNumber()),
    algorithm.identifier,
    content.issuer,
    derSequence(derTime(content.notBefore), derTime(content.notAfter)),
    content.subject,
    content.publicKey.export({ type: 'spki', format: 'der' }),
    derTagged(3, derSequence(...content.extensions)),
  );
  const signature = await signatureOver(signed, algorithm.digest, signingKey);
  return derSequence(signed, algorithm.identifier, derBits(signature));
}

/** DER of the name `CN=…`; without a common name it is the empty name. */
export function distinguishedName(commonName: string | undefined): Buffer {
  if (commonName === undefined) return derSequence();
  return derSequence(derSet(derSequence(COMMON_NAME, derUtf8(commonName))));
}

/** Identifies a public key: 160 bits of its SHA-256 (RFC 7093, 2, method 1). */
export function keyIdentifier(publicKey: KeyObject): Buffer {
  const [, bits] = readDer(fieldsOf(publicKey.export({ type: 'spki', format: 'der' })));
  const key = bits === undefined ? Buffer.alloc(0) : bits.content.subarray(1);
  return createHash('sha256').update(key).digest().subarray(0, 20);
}

/** Name and key identifier of an issuer; where its certificate has no identifier, one is made of its key. */
export function issuerIdentity(certificate: Buffer, signingKey: KeyObject): IssuerIdentity {
  const [signed] = readDer(fieldsOf(certificate));
  const fields = readDer(signed?.content ?? Buffer.alloc(0));
  // A version 1 certificate has no version field, and a name cannot stand where it would.
  const name = fields[fields[0]?.tag === 0xa0 ? 5 : 4]?.whole;
  if (name === undefined) throw new RangeError('The certificate has no subject.');
  const extensions = fields.find((field) => field.tag === 0xa3);
  const keyId = extensions === undefined ? undefined : subjectKeyId(fieldsOf(extensions.content));
  return { name, keyId: keyId ?? keyIdentifier(createPublicKey(signingKey)) };
}

/** PEM of a DER certificate, with its final newline. */
export function certificatePem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function subjectKeyId(extensions: Buffer): Buffer | undefined {
  const wanted = derOid(EXTENSION.subjectKeyId);
  for (const extension of readDer(extensions)) {
    const parts = readDer(extension.content);
    if (parts[0]?.whole.equals(wanted) === true) return fieldsOf(parts.at(-1)?.content ?? Buffer.alloc(0));
  }
  return undefined;
}

/** The content of the single element in `bytes`. */
function fieldsOf(bytes: Buffer): Buffer {
  return readDer(bytes)[0]?.content ?? Buffer.alloc(0);
}

function signatureAlgorithm(key: KeyObject) {
  const type = key.asymmetricKeyType;
  return type === 'rsa' || type === 'ec' || type === 'ed25519' ? SIGNATURE_ALGORITHM[type] : undefined;
}

function signatureOver(bytes: Buffer, digest: string | null, key: KeyObject): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign(digest, bytes, key, (error, signature) => {
      if (error === null) resolve(signature);
      else reject(error);
    });
  });
}

/** 127 random bits behind a leading one: always 16 bytes and positive. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes;
}
