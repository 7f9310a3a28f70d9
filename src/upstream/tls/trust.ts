import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { BreakwaterError } from '../../registry/errors.ts';

/** Names in `EXTRA_CA_DIR` that hold certificates: such folders hold a README or hashed links too. */
const CERTIFICATE_FILE = /\.(pem|crt|cer)$/i;

/**
 * The authorities that upstream's chains may lead to: the system's, and the user's.
 * Where the system has none (a bare container), the list that comes with Node stands in.
 * @throws `SETTING_INVALID` where a file cannot be read or holds no certificate.
 */
export function trustedAuthorities(
  extraCaFile: string | undefined,
  extraCaDir: string | undefined,
): readonly string[] {
  const system = getCACertificates('system');
  return [
    ...(system.length > 0 ? system : getCACertificates('bundled')),
    ...getCACertificates('extra'),
    ...(extraCaFile === undefined ? [] : readCertificates(extraCaFile, 'EXTRA_CA_FILE')),
    ...(extraCaDir === undefined ? [] : readFolder(extraCaDir)),
  ];
}

function readFolder(folder: string): readonly string[] {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    throw unreadable('EXTRA_CA_DIR', folder, cause, 'Name a folder that can be read, or unset EXTRA_CA_DIR.');
  }
  return names
    .filter((name) => CERTIFICATE_FILE.test(name))
    .flatMap((name) => readCertificates(join(folder, name), 'EXTRA_CA_DIR'));
}

/** The certificates of a PEM file, one text each. */
export function readCertificates(file: string, setting: string): readonly string[] {
  const certificates = readPem(file, setting).match(
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
  );
  if (certificates === null) {
    throw new BreakwaterError('SETTING_INVALID', `${setting}: ${file} holds no PEM certificate`, {
      mend: 'Put one or more "BEGIN CERTIFICATE" blocks in it.',
    });
  }
  return certificates;
}

/** The text of a file that a setting names. */
export function readPem(file: string, setting: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw unreadable(setting, file, cause, `Name a readable PEM file, or take it out of ${setting}.`);
  }
}

function unreadable(setting: string, file: string, cause: unknown, mend: string): BreakwaterError {
  return new BreakwaterError('SETTING_INVALID', `${setting}: ${file} cannot be read: ${String(cause)}`, {
    cause,
    mend,
  });
}
