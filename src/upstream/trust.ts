import { readFileSync } from 'node:fs';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { BreakwaterError } from '../registry/errors.ts';

/**
 * What upstream's chains are checked against, made once for all connections: the system's trust store and the user's file.
 * Where the system has none (a bare container), the list that comes with Node stands in.
 * @throws `SETTING_INVALID` where `extraCaFile` cannot be read or holds no certificate.
 */
export function trustContext(extraCaFile: string | undefined): SecureContext {
  const system = getCACertificates('system');
  const trusted = system.length > 0 ? system : getCACertificates('bundled');
  const extra = extraCaFile === undefined ? [] : readBundle(extraCaFile);
  // the system names many certificates more than once, and each costs memory
  return createSecureContext({ ca: [...new Set([...trusted, ...getCACertificates('extra'), ...extra])] });
}

function readBundle(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new BreakwaterError('SETTING_INVALID', `EXTRA_CA_FILE: ${file} cannot be read: ${String(cause)}`, {
      cause,
      mend: 'Name a readable PEM file, or unset EXTRA_CA_FILE.',
    });
  }
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (certificates === null) {
    throw new BreakwaterError('SETTING_INVALID', `EXTRA_CA_FILE: ${file} holds no PEM certificate`, {
      mend: 'Put one or more "BEGIN CERTIFICATE" blocks in it.',
    });
  }
  return certificates;
}
