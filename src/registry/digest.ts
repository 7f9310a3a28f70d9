import { createHash, type Hash } from 'node:crypto';
import { BreakwaterError } from './errors.ts';

/** The digest algorithms registered by the OCI image spec ("Digests"). */
export type DigestAlgorithm = 'sha256' | 'sha512';

const HEX_LENGTH: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 };

/** A content identifier `algorithm:hex` that was checked against the grammar; the bytes it names may not be. */
export type Digest = string & { readonly __digest: unique symbol };

/** True where `text` is a well-formed digest of a supported algorithm, hex in lower case. */
export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, colon);
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return false;
  return text.length === colon + 1 + HEX_LENGTH[algorithm] && /^[0-9a-f]+$/.test(text.slice(colon + 1));
}

/** Parses a digest or throws `DIGEST_INVALID`. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new BreakwaterError('DIGEST_INVALID', `invalid digest ${JSON.stringify(text.slice(0, 200))}`);
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** Hashes a stream of chunks into a digest. */
export interface Digester {
  update(chunk: Uint8Array): void;
  /** Ends the hash; the digester is used up. */
  digest(): Digest;
}

export function createDigester(algorithm: DigestAlgorithm): Digester {
  const hash: Hash = createHash(algorithm);
  return {
    update: (chunk) => void hash.update(chunk),
    digest: () => parseDigest(`${algorithm}:${hash.digest('hex')}`),
  };
}

/** The digest of bytes already in memory. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  const digester = createDigester(algorithm);
  digester.update(bytes);
  return digester.digest();
}
