import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { canSign } from './certificate.ts';
import type { AuthorityPaths } from './authority-files.ts';
import { BreakwaterError } from '../registry/errors.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/;
const ENCRYPTED = /-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/;

/** What the reference encrypts every key with; its folders are used as they are. */
const REFERENCE_PASSPHRASE = 'foobar';

/** Certificates of which the first signs leaves. */
type Certificates = readonly [X509Certificate, ...X509Certificate[]];

/**
 * Reads the certificates of a CA file, in its order.
 * @throws `CA_UNUSABLE` where there is none, one is damaged, or a private key lies beside them
 */
export function readCertificates(pem: string, path: string): Certificates {
  if (PRIVATE_KEY.test(pem)) {
    throw unusable(
      `${path} holds a private key, and clients can download this file.`,
      'Move the private key to a file of its own (ca.key, or CA_KEY_FILE).',
    );
  }
  const blocks = pem.match(CERTIFICATE) ?? [];
  const [first, ...others] = blocks.map((block, index) => parseCertificate(block, index, path));
  if (first === undefined) {
    throw unusable(
      `${path} holds no PEM certificate.`,
      'Put a CA certificate in PEM form there; DER can be converted with "openssl x509 -inform der".',
    );
  }
  return [first, ...others];
}

/** Reads the key, encrypted or not. @throws `CA_UNUSABLE` where it is no key or no passphrase opens it */
export function readKey(pem: string, path: string, passphrase: string | undefined): KeyObject {
  const encrypted = ENCRYPTED.test(pem);
  const candidates = passphrase === undefined ? [] : [passphrase];
  let failure: unknown;
  for (const candidate of encrypted ? [...candidates, REFERENCE_PASSPHRASE] : [undefined]) {
    try {
      return createPrivateKey(candidate === undefined ? pem : { key: pem, passphrase: candidate });
    } catch (error) {
      failure ??= error;
    }
  }
  if (encrypted) {
    throw unusable(
      passphrase === undefined
        ? `${path} is encrypted, and no passphrase was given.`
        : `${path} is encrypted, and the passphrase that was given does not open it.`,
      `Give its passphrase, or decrypt it with "openssl pkey -in ${path} -out NEW_FILE".`,
      failure,
    );
  }
  throw unusable(
    `${path} holds no private key that can be read.`,
    'Put a private key in PEM form there; if the file is damaged, restore it from a backup.',
    failure,
  );
}

/**
 * Makes sure that leaves can be signed and that clients will accept them at `now` (ms since the epoch).
 * @returns the certificate that signs and its issuers upwards; what else the file has is served, but never sent
 * @throws `CA_UNUSABLE`
 */
export function checkAuthority(
  certificates: Certificates,
  key: KeyObject,
  paths: AuthorityPaths,
  now: number,
): Certificates {
  if (!canSign(key)) {
    throw unusable(
      `${paths.key} holds a key of type ${key.asymmetricKeyType}, which cannot sign certificates here.`,
      'Use a CA with an RSA, EC or Ed25519 key.',
    );
  }
  checkFit(certificates, key, paths);
  const chain = chainOf(certificates);
  for (const certificate of chain) checkCertificate(certificate, paths.certificate, now);
  checkAcceptance(chain, key, paths.certificate);
  return chain;
}

/** The subject of a certificate on one line, most general part first as in the file. */
export function subjectOf(certificate: X509Certificate): string {
  return certificate.subject.replaceAll('\n', ', ');
}

function parseCertificate(block: string, index: number, path: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch (cause) {
    throw unusable(
      `Certificate ${index + 1} in ${path} is damaged.`,
      'Restore the file from a backup, or fetch /ca.crt from a proxy that still runs.',
      cause,
    );
  }
}

/** Follows the issuers from the first certificate upwards, in whatever order they are. */
function chainOf([first, ...others]: Certificates): Certificates {
  const path: X509Certificate[] = [];
  const left = new Set(others);
  let last = first;
  while (last.subject !== last.issuer) {
    const issuer = [...left].find((other) => last.checkIssued(other) && last.verify(other.publicKey));
    if (issuer === undefined) break;
    left.delete(issuer);
    path.push(issuer);
    last = issuer;
  }
  return [first, ...path];
}

function checkFit([signer, ...others]: Certificates, key: KeyObject, paths: AuthorityPaths): void {
  if (signer.checkPrivateKey(key)) return;
  const owner = others.find((certificate) => certificate.checkPrivateKey(key));
  throw unusable(
    `The key in ${paths.key} does not fit the first certificate in ${paths.certificate} (${subjectOf(signer)}).`,
    owner === undefined
      ? 'Put the key there that this certificate was made with, or the certificate that was made with this key.'
      : `It fits ${subjectOf(owner)} in the same file: put that certificate first.`,
  );
}

function checkCertificate(certificate: X509Certificate, path: string, now: number): void {
  const what = `${subjectOf(certificate)} in ${path}`;
  if (!certificate.ca) {
    throw unusable(
      `${what} is not a CA certificate: it lacks basicConstraints CA:TRUE, or its keyUsage lacks keyCertSign.`,
      'Use a CA certificate; for an intermediate, put it first and its issuers after it.',
    );
  }
  if (certificate.validToDate.getTime() <= now) {
    throw unusable(
      `${what} expired on ${certificate.validToDate.toISOString()}.`,
      'Renew it, or move certificate and key away and restart; then let every client trust the new one.',
    );
  }
  if (certificate.validFromDate.getTime() > now) {
    throw unusable(
      `${what} is not valid before ${certificate.validFromDate.toISOString()}.`,
      `Set the clock of this machine (it is now ${new Date(now).toISOString()}), or use another certificate.`,
    );
  }
}

/** TLS itself refuses what is too weak, such as RSA-1024 or SHA-1: better at the start than in every handshake. */
function checkAcceptance(chain: readonly X509Certificate[], key: KeyObject, path: string): void {
  try {
    createSecureContext({
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      cert: chain.map(String).join(''),
      ca: [],
    });
  } catch (cause) {
    throw unusable(
      `The certificates in ${path} cannot be used for TLS: ${cause instanceof Error ? cause.message : String(cause)}.`,
      'Use a CA with an EC key, or RSA of at least 2048 bits, signed with SHA-256.',
      cause,
    );
  }
}

function unusable(message: string, mend: string, cause?: unknown): BreakwaterError {
  return new BreakwaterError('CA_UNUSABLE', message, { mend, cause });
}
