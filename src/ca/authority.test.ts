import { X509Certificate, createPrivateKey } from 'node:crypto';
import { chmod, chown, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAuthority } from './authority.ts';
import {
  ROOT_EXTENSIONS,
  RSA_2048_KEY,
  makeCertificate,
  openssl,
  temporaryFolder,
} from './openssl.fixture.ts';

const DAY = 86_400_000;

function modeOf(path: string): Promise<number> {
  return stat(path).then((found) => found.mode & 0o777);
}

/** Copies a certificate and a key made elsewhere into a folder, under the names of an authority. */
async function folderOf(path: string, certificates: readonly string[], key: string): Promise<void> {
  const contents = await Promise.all(certificates.map((file) => readFile(file, 'utf8')));
  await writeFile(join(path, 'ca.crt'), contents.join(''));
  await writeFile(join(path, 'ca.key'), await readFile(key));
}

describe('a folder without an authority', () => {
  it('gets one that is made once and kept, byte for byte', async () => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, 'deep', 'ca');
    const first = await loadAuthority({ directory });
    const bytes = [await readFile(join(directory, 'ca.crt')), await readFile(join(directory, 'ca.key'))];
    const second = await loadAuthority({ directory, now: () => Date.now() + 400 * DAY });

    expect([first.created, second.created]).toEqual([true, false]);
    expect(second.fingerprint256).toBe(first.fingerprint256);
    expect(second.certificatePem).toBe(first.certificatePem);
    expect([await readFile(join(directory, 'ca.crt')), await readFile(join(directory, 'ca.key'))]).toEqual(
      bytes,
    );
    expect((await readdir(directory)).sort()).toEqual(['ca.crt', 'ca.key']);
  });

  it('keeps the key from everyone else, whatever the umask', async () => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, 'ca');
    const before = process.umask(0o077);
    try {
      await loadAuthority({ directory });
    } finally {
      process.umask(before);
    }
    expect(await modeOf(directory)).toBe(0o700);
    expect(await modeOf(join(directory, 'ca.key'))).toBe(0o600);
    expect(await modeOf(join(directory, 'ca.crt'))).toBe(0o644);
  });

  it('gets a root of ten years that strict clients accept', async () => {
    await using folder = await temporaryFolder();
    const authority = await loadAuthority({ directory: folder.path });
    const root = new X509Certificate(authority.certificateDer);

    expect(root.ca).toBe(true);
    expect(root.subject).toMatch(/^CN=Breakwater CA \S+ \d{4}-\d\d-\d\d$/);
    expect(root.checkIssued(root) && root.verify(root.publicKey)).toBe(true);
    expect(root.checkPrivateKey(authority.key)).toBe(true);
    expect(authority.fingerprint256).toMatch(/^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(authority.notBefore.getTime()).toBeLessThan(Date.now() - DAY + 5000);
    expect(authority.notAfter.getTime() - Date.now()).toBeGreaterThan(3649 * DAY);
    const text = await openssl('x509', '-noout', '-text', '-in', join(folder.path, 'ca.crt'));
    expect(text).toContain('X509v3 Basic Constraints: critical\n                CA:TRUE');
    expect(text).toContain('X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign');
    expect(text).toContain('Subject Key Identifier');
    const file = join(folder.path, 'ca.crt');
    expect(await openssl('verify', '-x509_strict', '-CAfile', file, file)).toContain('OK');
  });

  it('gets a root that outlasts 2049', async () => {
    await using folder = await temporaryFolder();
    const now = () => Date.UTC(2045, 0, 1);
    const { notAfter } = await loadAuthority({ directory: folder.path, now });
    expect(notAfter.toISOString()).toBe('2054-12-30T00:00:00.000Z');
  });

  it('gets one authority from many processes that start at once', async () => {
    await using folder = await temporaryFolder();
    const authorities = await Promise.all(
      Array.from({ length: 8 }, () => loadAuthority({ directory: folder.path })),
    );
    expect(new Set(authorities.map((authority) => authority.fingerprint256)).size).toBe(1);
    expect(authorities.filter((authority) => authority.created)).toHaveLength(1);
  });

  it('gets it at the paths that are named', async () => {
    await using folder = await temporaryFolder();
    const certificateFile = join(folder.path, 'public', 'root.pem');
    const keyFile = join(folder.path, 'secret', 'root.key');
    await loadAuthority({ directory: folder.path, certificateFile, keyFile });
    expect(await readdir(join(folder.path, 'public'))).toEqual(['root.pem']);
    expect(await readdir(join(folder.path, 'secret'))).toEqual(['root.key']);
  });
});

describe('an interrupted first start', () => {
  it('that left only the key is completed with that key', async () => {
    await using folder = await temporaryFolder();
    const { privateKey } = await loadAuthority({ directory: join(folder.path, 'other') }).then(({ key }) => ({
      privateKey: key.export({ type: 'pkcs8', format: 'pem' }),
    }));
    await writeFile(join(folder.path, 'ca.key'), privateKey);
    const authority = await loadAuthority({ directory: folder.path });

    expect(authority.created).toBe(true);
    expect(authority.key.equals(createPrivateKey(privateKey))).toBe(true);
    expect(await readFile(join(folder.path, 'ca.key'), 'utf8')).toBe(privateKey);
    expect((await loadAuthority({ directory: folder.path })).fingerprint256).toBe(authority.fingerprint256);
  });

  it('that left half a temporary file does not matter', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, '.ca.key.0.tmp'), '-----BEGIN PRIV');
    await writeFile(join(folder.path, '.ca.crt.0.tmp'), '');
    expect((await loadAuthority({ directory: folder.path })).created).toBe(true);
  });
});

describe("the reference's folder", () => {
  const subject =
    '/C=NL/ST=Noord Holland/L=Amsterdam/O=ME/OU=IT/CN=DockerMirrorBox CA Root box 2021.03.04 05:06';
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const [key, config] = [join(folder.path, 'ca.key'), join(folder.path, 'ca.cnf')];
    await openssl('genrsa', '-des3', '-passout', 'pass:foobar', '-out', key, '4096');
    await writeFile(
      config,
      ['[req]', 'distinguished_name = dn', '[dn]', '[IA]', ...ROOT_EXTENSIONS, ''].join('\n'),
    );
    const signing = [
      '-key',
      key,
      '-passin',
      'pass:foobar',
      '-subj',
      subject,
      '-extensions',
      'IA',
      '-config',
      config,
    ];
    const certificate = ['-out', join(folder.path, 'ca.crt')];
    await openssl('req', '-new', '-x509', '-days', '1300', '-sha256', ...signing, ...certificate);
    await writeFile(join(folder.path, 'ca.srl'), '01\n');
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  it('is used as it is', async () => {
    const before = await readFile(join(folder.path, 'ca.crt'), 'utf8');
    expect(await readFile(join(folder.path, 'ca.key'), 'utf8')).toMatch(
      /^-----BEGIN ENCRYPTED PRIVATE KEY-----/,
    );
    const authority = await loadAuthority({ directory: folder.path });

    expect(authority.certificatePem).toBe(before);
    expect(authority.created).toBe(false);
    expect(authority.subject).toBe(
      'C=NL, ST=Noord Holland, L=Amsterdam, O=ME, OU=IT, CN=DockerMirrorBox CA Root box 2021.03.04 05:06',
    );
    expect(authority.key.asymmetricKeyDetails?.modulusLength).toBe(4096);
    expect(await readFile(join(folder.path, 'ca.crt'), 'utf8')).toBe(before);
  });

  it('is used with the key in the form of older openssl versions', async () => {
    await using old = await temporaryFolder();
    await folderOf(old.path, [join(folder.path, 'ca.crt')], join(folder.path, 'ca.key'));
    const passwords = ['-passin', 'pass:foobar', '-passout', 'pass:foobar'];
    const key = join(old.path, 'ca.key');
    await openssl('rsa', '-in', key, '-des3', '-traditional', ...passwords, '-out', key);
    expect(await readFile(key, 'utf8')).toContain('Proc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC');
    expect((await loadAuthority({ directory: old.path, passphrase: 'unrelated' })).created).toBe(false);
  });
});

describe("the user's own authority", () => {
  it('may be an intermediate with its issuers after it, in any order and among others', async () => {
    await using folder = await temporaryFolder();
    const [root, other] = await Promise.all([
      makeCertificate(folder.path, 'root', { commonName: 'Root', extensions: ROOT_EXTENSIONS }),
      makeCertificate(folder.path, 'other', { commonName: 'Other', extensions: ROOT_EXTENSIONS }),
    ]);
    const extensions = ROOT_EXTENSIONS;
    const upper = await makeCertificate(folder.path, 'upper', {
      commonName: 'Upper',
      extensions,
      issuer: root,
    });
    const lower = await makeCertificate(folder.path, 'lower', {
      commonName: 'Lower',
      extensions,
      issuer: upper,
    });
    const files = [lower, root, other, upper].map((made) => made.certificate);
    await folderOf(folder.path, files, lower.key);
    const authority = await loadAuthority({ directory: folder.path });

    expect(authority.subject).toBe('O=ME, CN=Lower');
    expect(authority.certificatePem.match(/BEGIN/g)).toHaveLength(4);
    const chain = authority.chainPem.match(/-----BEGIN[^]+?END CERTIFICATE-----/g) ?? [];
    expect(chain.map((pem) => new X509Certificate(pem).subject)).toEqual([
      'O=ME\nCN=Lower',
      'O=ME\nCN=Upper',
      'O=ME\nCN=Root',
    ]);
  });

  it('may have a key with its parameters before it, and its own passphrase', async () => {
    await using folder = await temporaryFolder();
    const root = await makeCertificate(folder.path, 'root', {
      commonName: 'Root',
      extensions: ROOT_EXTENSIONS,
    });
    await folderOf(folder.path, [root.certificate], root.key);
    const key = join(folder.path, 'ca.key');
    await openssl('ec', '-aes256', '-in', root.key, '-passout', 'pass:gehÉim', '-out', key);
    const parameters = await openssl('ecparam', '-name', 'prime256v1');
    await writeFile(key, parameters + (await readFile(key, 'utf8')));
    expect((await loadAuthority({ directory: folder.path, passphrase: 'gehÉim' })).subject).toBe(
      'O=ME, CN=Root',
    );
  });
});

describe('an authority that cannot be used is refused', () => {
  const extensions = ROOT_EXTENSIONS;

  function refusal(message: RegExp, mend: RegExp) {
    return expect.objectContaining({
      code: 'CA_UNUSABLE',
      message: expect.stringMatching(message),
      mend: expect.stringMatching(mend),
    });
  }

  it('where the key does not fit the certificate', async () => {
    await using folder = await temporaryFolder();
    const [one, two] = await Promise.all([
      makeCertificate(folder.path, 'one', { commonName: 'One', extensions }),
      makeCertificate(folder.path, 'two', { commonName: 'Two', extensions }),
    ]);
    await folderOf(folder.path, [one.certificate], two.key);
    await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
      refusal(
        /key in .*ca\.key does not fit the first certificate in .*ca\.crt \(O=ME, CN=One\)/,
        /made with/,
      ),
    );
  });

  it('where the key fits another certificate of the file, and it says which', async () => {
    await using folder = await temporaryFolder();
    const root = await makeCertificate(folder.path, 'root', { commonName: 'Root', extensions });
    const lower = await makeCertificate(folder.path, 'lower', {
      commonName: 'Lower',
      extensions,
      issuer: root,
    });
    await folderOf(folder.path, [root.certificate, lower.certificate], lower.key);
    await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
      refusal(/does not fit the first certificate/, /fits O=ME, CN=Lower .* put that certificate first/),
    );
  });

  it('where the certificate has expired, or is not valid yet', async () => {
    await using folder = await temporaryFolder();
    const root = await makeCertificate(folder.path, 'root', { commonName: 'Root', extensions, days: 10 });
    await folderOf(folder.path, [root.certificate], root.key);
    const directory = folder.path;
    await expect(loadAuthority({ directory, now: () => Date.now() + 11 * DAY })).rejects.toEqual(
      refusal(/CN=Root in .*ca\.crt expired on 20/, /Renew it/),
    );
    await expect(loadAuthority({ directory, now: () => Date.now() - DAY })).rejects.toEqual(
      refusal(/not valid before 20/, /clock/),
    );
  });

  it('where the certificate is not one of an authority', async () => {
    await using folder = await temporaryFolder();
    const variants = {
      server: ['basicConstraints = critical,CA:FALSE'],
      usage: ['basicConstraints = critical,CA:TRUE', 'keyUsage = critical, digitalSignature'],
    };
    for (const [name, lines] of Object.entries(variants)) {
      const made = await makeCertificate(folder.path, name, { commonName: name, extensions: lines });
      await folderOf(folder.path, [made.certificate], made.key);
      await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
        refusal(/is not a CA certificate/, /Use a CA certificate/),
      );
    }
  });

  it('where the passphrase is wrong or missing', async () => {
    await using folder = await temporaryFolder();
    const root = await makeCertificate(folder.path, 'root', {
      commonName: 'Root',
      extensions,
      key: RSA_2048_KEY,
    });
    await folderOf(folder.path, [root.certificate], root.key);
    const key = join(folder.path, 'ca.key');
    const encrypt = ['rsa', '-in', root.key, '-des3', '-passout', 'pass:secret', '-out', key];
    for (const form of [[], ['-traditional']]) {
      await openssl(...encrypt, ...form);
      await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
        refusal(/ca\.key is encrypted, and no passphrase was given/, /Give its passphrase/),
      );
      await expect(loadAuthority({ directory: folder.path, passphrase: 'wrong-one' })).rejects.toEqual(
        refusal(/does not open it/, /Give its passphrase/),
      );
      const failure = await loadAuthority({ directory: folder.path, passphrase: 'wrong-one' }).catch(String);
      expect(failure).not.toContain('wrong-one');
      expect((await loadAuthority({ directory: folder.path, passphrase: 'secret' })).subject).toBe(
        'O=ME, CN=Root',
      );
    }
  });

  it('where there is a certificate without its key', async () => {
    await using folder = await temporaryFolder();
    const root = await makeCertificate(folder.path, 'root', { commonName: 'Root', extensions });
    await writeFile(join(folder.path, 'ca.crt'), await readFile(root.certificate));
    await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
      refusal(/a CA certificate at .*ca\.crt, but no CA key at .*ca\.key/, /Put the key there/),
    );
  });

  it('where only one of the two is named and the other does not exist', async () => {
    await using folder = await temporaryFolder();
    const root = await makeCertificate(folder.path, 'root', { commonName: 'Root', extensions });
    const directory = join(folder.path, 'empty');
    await expect(loadAuthority({ directory, keyFile: root.key })).rejects.toEqual(
      refusal(/a CA key at .*root\.key, but no CA certificate at .*ca\.crt/, /CA_CRT_FILE and CA_KEY_FILE/),
    );
    await expect(loadAuthority({ directory, certificateFile: root.certificate })).rejects.toEqual(
      refusal(/no CA key at .*ca\.key/, /CA_CRT_FILE and CA_KEY_FILE/),
    );
  });

  it('where the files are damaged', async () => {
    await using folder = await temporaryFolder();
    const { certificatePem } = await loadAuthority({ directory: folder.path });
    const [certificate, key] = [join(folder.path, 'ca.crt'), join(folder.path, 'ca.key')];
    const whole = await readFile(key, 'utf8');
    const damaged = certificatePem.replace(/\n.{20}/, '\n');
    const cases = [
      { path: certificate, content: '', message: /ca\.crt holds no PEM certificate/ },
      { path: certificate, content: damaged, message: /Certificate 1 in .*ca\.crt is damaged/ },
      { path: certificate, content: certificatePem + whole, message: /ca\.crt holds a private key/ },
      { path: key, content: whole.slice(0, 60), message: /ca\.key holds no private key that can be read/ },
    ];
    for (const { path, content, message } of cases) {
      await writeFile(certificate, certificatePem);
      await writeFile(key, whole);
      await writeFile(path, content);
      await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(refusal(message, /./));
    }
  });

  it('where its key is too weak for TLS, or of a kind that cannot sign here', async () => {
    await using folder = await temporaryFolder();
    const cases = [
      { key: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'], message: /cannot be used for TLS/ },
      { key: ['-algorithm', 'ED448'], message: /key of type ed448/ },
    ];
    for (const [index, { key, message }] of cases.entries()) {
      const made = await makeCertificate(folder.path, `weak${index}`, {
        commonName: 'Weak',
        extensions,
        key,
      });
      await folderOf(folder.path, [made.certificate], made.key);
      await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
        refusal(message, /Use a CA with/),
      );
    }
  });

  it('where the folder is a file, or a file is a folder', async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, 'file');
    await writeFile(file, '');
    await expect(loadAuthority({ directory: file })).rejects.toEqual(
      refusal(
        /CA file .*file\/ca\.\w+ cannot be read: part of its path is not a folder/,
        /see that .*file is a folder/,
      ),
    );
    await mkdir(join(folder.path, 'ca.key'));
    await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
      refusal(/ca\.key cannot be read: it is a folder/, /right to read/),
    );
  });

  it('where the folder may not be read or written', async () => {
    await using folder = await temporaryFolder();
    await chown(folder.path, UNPRIVILEGED, UNPRIVILEGED);
    using _ = unprivileged();
    await chmod(folder.path, 0o500);
    await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
      refusal(/cannot be written: permission denied/, /right to write/),
    );
    await chmod(folder.path, 0o000);
    await expect(loadAuthority({ directory: folder.path })).rejects.toEqual(
      refusal(/cannot be read: permission denied/, /uid/),
    );
    await chmod(folder.path, 0o700);
  });
});

const UNPRIVILEGED = process.getuid?.() === 0 ? 65_534 : (process.getuid?.() ?? 0);

/** Root may read and write everything: what others see shows only to them. */
function unprivileged(): Disposable {
  const before = process.geteuid?.() ?? 0;
  process.seteuid?.(UNPRIVILEGED);
  return { [Symbol.dispose]: () => process.seteuid?.(before) };
}
