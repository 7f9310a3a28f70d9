import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A key and its certificate as the openssl command wrote them; both are paths. */
interface MadeCertificate {
  readonly key: string;
  readonly certificate: string;
}

interface CertificateRequest {
  readonly commonName: string;
  readonly extensions: readonly string[];
  /** What `openssl genpkey` takes; EC P-256 where absent. */
  readonly key?: readonly string[];
  /** Signs it; itself where absent. */
  readonly issuer?: MadeCertificate;
  readonly days?: number;
}

export const ROOT_EXTENSIONS = [
  'basicConstraints = critical,CA:TRUE',
  'keyUsage = critical, digitalSignature, cRLSign, keyCertSign',
  'subjectKeyIdentifier = hash',
];
export const EC_KEY = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
export const RSA_2048_KEY = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'];

/** Runs openssl and answers what it printed. */
export async function openssl(...parts: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('openssl', parts);
  return stdout + stderr;
}

/** An empty folder, deleted when the test's `await using` ends. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'ca-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Makes a certificate with the openssl command, `NAME.key` and `NAME.crt` in `folder`. */
export async function makeCertificate(
  folder: string,
  name: string,
  request: CertificateRequest,
): Promise<MadeCertificate> {
  const made = { key: join(folder, `${name}.key`), certificate: join(folder, `${name}.crt`) };
  const config = join(folder, `${name}.cnf`);
  const sections = ['[req]', 'distinguished_name = dn', '[dn]', '[made]', ...request.extensions, ''];
  await writeFile(config, sections.join('\n'));
  await openssl('genpkey', ...(request.key ?? EC_KEY), '-out', made.key);
  const days = ['-days', String(request.days ?? 730)];
  const subject = ['-key', made.key, '-subj', `/O=ME/CN=${request.commonName}`, '-config', config];
  if (request.issuer === undefined) {
    await openssl(
      'req',
      '-new',
      '-x509',
      ...days,
      ...subject,
      '-extensions',
      'made',
      '-out',
      made.certificate,
    );
    return made;
  }
  const signing = join(folder, `${name}.csr`);
  await openssl('req', '-new', ...subject, '-out', signing);
  const issuer = ['-CA', request.issuer.certificate, '-CAkey', request.issuer.key, '-CAcreateserial'];
  const extensions = ['-extfile', config, '-extensions', 'made'];
  await openssl('x509', '-req', ...days, '-in', signing, ...issuer, ...extensions, '-out', made.certificate);
  return made;
}
