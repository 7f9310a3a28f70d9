import { createPublicKey, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { checkAuthority, readCertificates, readKey, subjectOf } from './authority-check.ts';
import {
  publishFile,
  readAuthorityFiles,
  type AuthorityFiles,
  type AuthorityPaths,
} from './authority-files.ts';
import { certificatePem, distinguishedName, issueCertificate, keyIdentifier } from './certificate.ts';
import { certificateAuthority, subjectKeyIdentifier, usableForSigningCertificates } from './extension.ts';
import { BreakwaterError } from '../registry/errors.ts';

/** The certificate authority that clients trust, and its key. */
export interface Authority {
  /** The certificate file as it is: what clients download. */
  readonly certificatePem: string;
  /** DER of the certificate that signs leaves. */
  readonly certificateDer: Buffer;
  /** PEM of what follows a leaf in a handshake: the signing certificate, then its issuers as far as known. */
  readonly chainPem: string;
  /** `C=NL, O=ME, CN=…`. */
  readonly subject: string;
  /** SHA-256 of the signing certificate, `AA:BB:…`. */
  readonly fingerprint256: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Whether the certificate was made just now, so that no client can know it yet. */
  readonly created: boolean;
  readonly key: KeyObject;
}

/**
 * Derives a secret of 32 bytes from the authority's key, for what must not be told from the cache's disk alone; it
 * stays the same as long as the key does (HKDF, RFC 5869).
 */
export function deriveSecret({ key }: Authority, purpose: string): Buffer {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return Buffer.from(hkdfSync('sha256', der, '', `breakwater ${purpose}`, 32));
}

interface AuthorityOptions {
  /** Holds `ca.crt` and `ca.key` where no other paths are named. */
  readonly directory: string;
  readonly certificateFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Opens an encrypted key; `foobar`, the reference's, is tried as well. */
  readonly passphrase?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

const DAY = 86_400_000;
const LIFE = 3650 * DAY;
/** Clients whose clock is behind must not refuse a root that was made just now. */
const BACKDATED = DAY;
/** RFC 5280, A.1, ub-common-name. */
const MAX_COMMON_NAME = 64;

/**
 * Loads the authority, and makes it where neither certificate nor key exists; what exists is never changed.
 * A key alone, as an interrupted first start leaves it, gets its certificate.
 * @throws `CA_UNUSABLE` saying what is wrong with which file, and how to mend it
 */
export async function loadAuthority(options: AuthorityOptions): Promise<Authority> {
  const now = (options.now ?? Date.now)();
  const paths = {
    certificate: options.certificateFile ?? join(options.directory, 'ca.crt'),
    key: options.keyFile ?? join(options.directory, 'ca.key'),
  };
  let files = await readAuthorityFiles(paths);
  let created = false;
  if (files.certificate === undefined) {
    if (files.key !== undefined) refuseHalfNamed(options, paths);
    created = await makeAuthority(files, paths, options.passphrase, now);
    // What counts is on disk: another process may have been first.
    files = await readAuthorityFiles(paths);
  }
  if (files.certificate === undefined) throw missing('certificate', paths);
  if (files.key === undefined) throw missing('key', paths);
  const certificates = readCertificates(files.certificate, paths.certificate);
  const key = readKey(files.key, paths.key, options.passphrase);
  const chain = checkAuthority(certificates, key, paths, now);
  const [signer] = chain;
  return {
    certificatePem: files.certificate,
    certificateDer: signer.raw,
    chainPem: chain.map(String).join(''),
    subject: subjectOf(signer),
    fingerprint256: signer.fingerprint256,
    notBefore: signer.validFromDate,
    notAfter: signer.validToDate,
    created,
    key,
  };
}

/** The key first: a crash after it leaves what the next start completes. */
async function makeAuthority(
  files: AuthorityFiles,
  paths: AuthorityPaths,
  passphrase: string | undefined,
  now: number,
): Promise<boolean> {
  if (files.key === undefined) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await publishFile(paths.key, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  }
  const { key: keyPem } = files.key === undefined ? await readAuthorityFiles(paths) : files;
  if (keyPem === undefined) throw missing('key', paths);
  const root = await selfSigned(readKey(keyPem, paths.key, passphrase), now);
  return publishFile(paths.certificate, certificatePem(root), 0o644);
}

function selfSigned(key: KeyObject, now: number): Promise<Buffer> {
  const publicKey = createPublicKey(key);
  const date = new Date(now).toISOString().slice(0, 10);
  const name = distinguishedName(`Breakwater CA ${hostname()} ${date}`.slice(0, MAX_COMMON_NAME));
  return issueCertificate(
    {
      issuer: name,
      subject: name,
      publicKey,
      notBefore: new Date(now - BACKDATED),
      notAfter: new Date(now + LIFE),
      extensions: [
        certificateAuthority(),
        usableForSigningCertificates(),
        subjectKeyIdentifier(keyIdentifier(publicKey)),
      ],
    },
    key,
  );
}

/** With one path named and the other not, a missing certificate is more likely a mistake than an interrupted start. */
function refuseHalfNamed({ certificateFile, keyFile }: AuthorityOptions, paths: AuthorityPaths): void {
  if ((certificateFile === undefined) !== (keyFile === undefined)) throw missing('certificate', paths);
}

function missing(what: 'certificate' | 'key', paths: AuthorityPaths): BreakwaterError {
  const other = what === 'key' ? 'certificate' : 'key';
  return new BreakwaterError(
    'CA_UNUSABLE',
    `There is a CA ${other} at ${paths[other]}, but no CA ${what} at ${paths[what]}.`,
    {
      mend: `Put the ${what} there (CA_CRT_FILE and CA_KEY_FILE name both), or move the ${other} away to have a new CA made.`,
    },
  );
}
