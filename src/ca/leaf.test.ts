import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAuthority, type Authority } from './authority.ts';
import { mintLeaf } from './leaf.ts';
import {
  EC_KEY,
  ROOT_EXTENSIONS,
  RSA_2048_KEY,
  makeCertificate,
  openssl,
  temporaryFolder,
} from './openssl.fixture.ts';

const DAY = 86_400_000;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let authority: Authority;

beforeAll(async () => {
  folder = await temporaryFolder();
  authority = await loadAuthority({ directory: join(folder.path, 'own') });
});
afterAll(() => folder[Symbol.asyncDispose]());

async function mint(host: string, now = Date.now()): Promise<X509Certificate> {
  return new X509Certificate((await mintLeaf(authority, host, now)).certificatePem);
}

describe('a leaf', () => {
  it('is valid for 90 days, from a day ago', async () => {
    const now = Date.UTC(2031, 4, 6, 7, 8, 9);
    const leaf = await mint('quay.io', now);
    expect(leaf.validFromDate).toEqual(new Date(now - DAY));
    expect(leaf.validToDate).toEqual(new Date(now + 90 * DAY));
  });

  it('never outlasts its authority, and begins no earlier', async () => {
    const end = authority.notAfter.getTime();
    expect((await mint('quay.io', end - 5 * DAY)).validToDate).toEqual(authority.notAfter);
    expect((await mint('quay.io', authority.notBefore.getTime())).validFromDate).toEqual(authority.notBefore);
    await expect(mint('quay.io', end)).rejects.toMatchObject({ code: 'CA_UNUSABLE' });
  });

  it('has a positive serial number of 128 bits that is never used again', async () => {
    const serials = (await Promise.all(Array.from({ length: 50 }, () => mint('quay.io')))).map(
      (leaf) => leaf.serialNumber,
    );
    expect(new Set(serials).size).toBe(50);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  it('says that it is for a server, and who issued it', async () => {
    const file = join(folder.path, 'leaf.crt');
    const leaf = await mint('quay.io');
    await writeFile(file, leaf.toString());
    expect(leaf.subject).toBe('CN=quay.io');
    expect(leaf.subjectAltName).toBe('DNS:quay.io');
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(leaf.ca).toBe(false);
    const text = await openssl('x509', '-noout', '-text', '-in', file);
    expect(text).toContain('X509v3 Key Usage: critical\n                Digital Signature\n');
    expect(text).toContain('X509v3 Authority Key Identifier');
    expect(text).toContain('ASN1 OID: prime256v1');
  });

  it('has no common name where the host does not fit in one, and a critical alternative name instead', async () => {
    const host = `${'a'.repeat(60)}.${'b'.repeat(60)}.example`;
    const file = join(folder.path, 'long.crt');
    const leaf = await mint(host);
    await writeFile(file, leaf.toString());
    expect(leaf.subject).toBeUndefined();
    expect(leaf.checkHost(host)).toBe(host);
    const text = await openssl('x509', '-noout', '-text', '-in', file);
    expect(text).toContain('X509v3 Subject Alternative Name: critical');
  });

  it('is accepted for every host name it is made for', async () => {
    await fc.assert(
      fc.asyncProperty(fc.domain(), async (host) => {
        const leaf = await mint(host);
        expect(leaf.checkHost(host)).toBe(host.toLowerCase());
        expect(leaf.checkIssued(new X509Certificate(authority.certificateDer))).toBe(true);
        expect(leaf.checkHost(`x${host}`)).toBeUndefined();
      }),
    );
  });

  it('is accepted for every address it is made for, however it is spelled', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.ipV4(), fc.ipV6()), async (host) => {
        expect((await mint(host)).checkIP(host)).toBe(host);
        const other = host.includes(':') ? `[${host.toUpperCase()}]` : host;
        expect((await mint(other)).checkIP(host)).toBe(host);
      }),
    );
  });
});

describe('strict verification by openssl', () => {
  const keys = { ec: EC_KEY, rsa: RSA_2048_KEY, ed25519: ['-algorithm', 'ED25519'] };
  const hosts = [
    { host: 'registry-1.docker.io', check: '-verify_hostname' },
    { host: 'my_registry', check: '-verify_hostname' },
    { host: '192.168.7.9', check: '-verify_ip' },
    { host: 'fd00::9', check: '-verify_ip' },
  ];

  it.each(Object.entries(keys))('accepts leaves of an authority with an %s key', async (name, key) => {
    const made = await makeCertificate(folder.path, name, {
      commonName: name,
      extensions: ROOT_EXTENSIONS,
      key,
    });
    const files = { certificateFile: made.certificate, keyFile: made.key };
    const issuer = await loadAuthority({ directory: folder.path, ...files });
    const leafFile = join(folder.path, `${name}-leaf.crt`);
    for (const { host, check } of hosts) {
      await writeFile(leafFile, (await mintLeaf(issuer, host, Date.now())).certificatePem);
      const purpose = ['-x509_strict', '-purpose', 'sslserver', check, host];
      expect(await openssl('verify', '-CAfile', made.certificate, ...purpose, leafFile)).toContain('OK');
    }
  });

  it('accepts leaves of an authority whose certificate has no key identifier', async () => {
    const extensions = ['basicConstraints = critical,CA:TRUE', 'subjectKeyIdentifier = none'];
    const made = await makeCertificate(folder.path, 'bare', { commonName: 'bare', extensions });
    expect(await openssl('x509', '-noout', '-text', '-in', made.certificate)).not.toContain('Key Identifier');
    const files = { certificateFile: made.certificate, keyFile: made.key };
    const issuer = await loadAuthority({ directory: folder.path, ...files });
    const leafFile = join(folder.path, 'bare-leaf.crt');
    await writeFile(leafFile, (await mintLeaf(issuer, 'quay.io', Date.now())).certificatePem);
    expect(await openssl('verify', '-CAfile', made.certificate, leafFile)).toContain('OK');
  });

  it('accepts leaves of an intermediate through its chain', async () => {
    const root = await makeCertificate(folder.path, 'r', { commonName: 'R', extensions: ROOT_EXTENSIONS });
    const extensions = ['basicConstraints = critical,CA:TRUE,pathlen:0', ...ROOT_EXTENSIONS.slice(1)];
    const made = await makeCertificate(folder.path, 'i', { commonName: 'I', extensions, issuer: root });
    const bundle = join(folder.path, 'bundle.crt');
    await writeFile(
      bundle,
      (await readFile(made.certificate, 'utf8')) + (await readFile(root.certificate, 'utf8')),
    );
    const files = { certificateFile: bundle, keyFile: made.key };
    const issuer = await loadAuthority({ directory: folder.path, ...files });
    const [leafFile, chainFile] = [join(folder.path, 'i-leaf.crt'), join(folder.path, 'i-chain.crt')];
    await writeFile(leafFile, (await mintLeaf(issuer, 'quay.io', Date.now())).certificatePem);
    await writeFile(chainFile, issuer.chainPem);
    const trust = ['-CAfile', root.certificate, '-untrusted', chainFile];
    expect(await openssl('verify', ...trust, leafFile)).toContain('OK');
  });
});
