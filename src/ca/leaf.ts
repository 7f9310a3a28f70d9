import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Authority } from './authority.ts';
import {
  certificatePem,
  distinguishedName,
  issueCertificate,
  issuerIdentity,
  keyIdentifier,
} from './certificate.ts';
import {
  alternativeName,
  authorityKeyIdentifier,
  forServers,
  subjectKeyIdentifier,
  usableForHandshakes,
} from './extension.ts';
import { parseHostName } from './host-name.ts';
import { BreakwaterError } from '../registry/errors.ts';

/** A certificate for one host, and its key; both PEM. */
export interface Leaf {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const DAY = 86_400_000;
const LIFE = 90 * DAY;
/** Clients whose clock is behind must not refuse a leaf that was made for them just now. */
const BACKDATED = DAY;
/** RFC 5280, A.1, ub-common-name. */
const MAX_COMMON_NAME = 64;

/**
 * Makes a certificate for a host: valid for 90 days from `now` (ms since the epoch), never longer than the authority.
 * @throws `CONNECT_TARGET_INVALID` for what is no host; `CA_UNUSABLE` where the authority has expired.
 */
export async function mintLeaf(authority: Authority, host: string, now: number): Promise<Leaf> {
  const { text, address } = parseHostName(host);
  const authorityEnd = authority.notAfter.getTime();
  if (now >= authorityEnd) throw expired(authority);
  const notBefore = new Date(Math.max(now - BACKDATED, authority.notBefore.getTime()));
  const notAfter = new Date(Math.min(now + LIFE, authorityEnd));
  const issuer = issuerIdentity(authority.certificateDer, authority.key);
  const { publicKey, keyPem, keyId } = sharedKey();
  const commonName = text.length <= MAX_COMMON_NAME ? text : undefined;
  const der = await issueCertificate(
    {
      issuer: issuer.name,
      subject: distinguishedName(commonName),
      publicKey,
      notBefore,
      notAfter,
      extensions: [
        usableForHandshakes(),
        forServers(),
        subjectKeyIdentifier(keyId),
        authorityKeyIdentifier(issuer.keyId),
        alternativeName(address ?? text, commonName === undefined),
      ],
    },
    authority.key,
  );
  return { certificatePem: certificatePem(der), keyPem, notBefore, notAfter };
}

interface LeafKey {
  readonly publicKey: KeyObject;
  readonly keyPem: string;
  readonly keyId: Buffer;
}

let leafKey: LeafKey | undefined;

/**
 * One key for every leaf of the process: they would all lie in the same memory, so a key each protects nothing.
 * P-256, as the server signs in every handshake: an RSA-2048 key gives less than half as many a second.
 */
function sharedKey(): LeafKey {
  if (leafKey !== undefined) return leafKey;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  leafKey = { publicKey, keyPem, keyId: keyIdentifier(publicKey) };
  return leafKey;
}

function expired(authority: Authority): BreakwaterError {
  return new BreakwaterError(
    'CA_UNUSABLE',
    `The CA certificate ${authority.subject} expired on ${authority.notAfter.toISOString()}.`,
    { mend: 'Renew it, or move it and its key away and restart; then let every client trust the new one.' },
  );
}
