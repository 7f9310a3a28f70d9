import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './job.ts';

/** Paths of PEM files. */
export interface Pki {
  readonly caCert: string;
  /** One certificate for every upstream name of the lab. */
  readonly serverCert: string;
  readonly serverKey: string;
  /** What the token server signs with; the hub trusts the certificate. */
  readonly tokenCert: string;
  readonly tokenKey: string;
}

export async function createPki(folder: string, hosts: readonly string[]): Promise<Pki> {
  await mkdir(folder, { recursive: true });
  const file = (name: string): string => join(folder, name);
  const pki: Pki = {
    caCert: file('ca.crt'),
    serverCert: file('server.crt'),
    serverKey: file('server.key'),
    tokenCert: file('token.crt'),
    tokenKey: file('token.key'),
  };
  const caKey = file('ca.key');
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  await certificate([
    ...ec,
    '-keyout',
    caKey,
    '-out',
    pki.caCert,
    '-subj',
    '/CN=Lab CA',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]);
  await certificate([
    ...ec,
    '-CA',
    pki.caCert,
    '-CAkey',
    caKey,
    '-keyout',
    pki.serverKey,
    '-out',
    pki.serverCert,
    '-subj',
    '/CN=Lab registries',
    '-addext',
    `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(',')}`,
    '-addext',
    'basicConstraints=critical,CA:FALSE',
    '-addext',
    'extendedKeyUsage=serverAuth',
  ]);
  // RSA, because docker-registry 2.8 accepts RS256 everywhere.
  await certificate([
    '-newkey',
    'rsa:2048',
    '-keyout',
    pki.tokenKey,
    '-out',
    pki.tokenCert,
    '-subj',
    '/CN=Lab token server',
  ]);
  return pki;
}

async function certificate(args: readonly string[]): Promise<void> {
  await run(['openssl', 'req', '-x509', '-nodes', '-sha256', '-days', '730', ...args]);
}
