import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecureContext } from 'node:tls';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAuthority, type Authority } from './authority.ts';
import { createLeafContexts } from './contexts.ts';
import { handshake } from './handshake.fixture.ts';
import { ROOT_EXTENSIONS, makeCertificate, temporaryFolder } from './openssl.fixture.ts';

const DAY = 86_400_000;
const START = Date.now();
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let authority: Authority;

beforeAll(async () => {
  folder = await temporaryFolder();
  authority = await loadAuthority({ directory: join(folder.path, 'own') });
});
afterAll(() => folder[Symbol.asyncDispose]());

/** Contexts with a clock that the test moves, in days since the start. */
function contextsAt(issuer: Authority, max?: number) {
  const clock = { day: 0 };
  const now = () => START + clock.day * DAY;
  return { clock, now, ...createLeafContexts(issuer, max === undefined ? { now } : { now, max }) };
}

/** Waits until a renewal in the background has put another context in place. */
async function successorOf(old: SecureContext, contextFor: () => SecureContext | Promise<SecureContext>) {
  return expect.poll(async () => (await contextFor()) === old, { interval: 2 }).toBe(false);
}

describe('a handshake', () => {
  it.each(['quay.io', 'registry-1.docker.io', 'xn--bcher-kva.example'])('for %s succeeds', async (host) => {
    const { contextFor } = createLeafContexts(authority);
    const client = { ca: authority.certificatePem, servername: host };
    const { leaf, protocol, cipher } = await handshake(await contextFor(host), client);
    expect(leaf.subjectAltName).toBe(`DNS:${host}`);
    expect([protocol, cipher]).toEqual(['TLSv1.3', 'TLS_AES_128_GCM_SHA256']);
  });

  it.each(['127.0.0.1', '::1'])('for the address %s succeeds', async (host) => {
    const { contextFor } = createLeafContexts(authority);
    await handshake(await contextFor(host), { ca: authority.certificatePem, host });
    await expect(
      handshake(await contextFor(host), { ca: authority.certificatePem, host: '10.0.0.1' }),
    ).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('of TLS 1.2 succeeds, and of anything older does not', async () => {
    const context = await createLeafContexts(authority).contextFor('quay.io');
    const client = { ca: authority.certificatePem, servername: 'quay.io' };
    const { cipher } = await handshake(context, { ...client, maxVersion: 'TLSv1.2' });
    expect(cipher).toBe('ECDHE-ECDSA-AES128-GCM-SHA256');
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const;
    await expect(handshake(context, { ...client, ...old })).rejects.toThrow(/alert protocol version/);
  });

  it('takes AES-128 unless the client puts ChaCha20 first, as one without AES in hardware does', async () => {
    const context = await createLeafContexts(authority).contextFor('quay.io');
    const client = { ca: authority.certificatePem, servername: 'quay.io' };
    const aes256First = { ...client, ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256' };
    const chachaFirst = { ...client, ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256' };
    expect((await handshake(context, aes256First)).cipher).toBe('TLS_AES_128_GCM_SHA256');
    expect((await handshake(context, chachaFirst)).cipher).toBe('TLS_CHACHA20_POLY1305_SHA256');
  });

  it('succeeds with a client that trusts only the root above an intermediate', async () => {
    const root = await makeCertificate(folder.path, 'root', { commonName: 'R', extensions: ROOT_EXTENSIONS });
    const request = { commonName: 'I', extensions: ROOT_EXTENSIONS, issuer: root };
    const intermediate = await makeCertificate(folder.path, 'intermediate', request);
    const files = { certificateFile: intermediate.certificate, keyFile: intermediate.key };
    const issuer = await loadAuthority({ directory: folder.path, ...files });
    const client = { ca: await readFile(root.certificate), servername: 'quay.io' };
    const { leaf } = await handshake(await createLeafContexts(issuer).contextFor('quay.io'), client);
    expect(leaf.issuer).toBe('O=ME\nCN=I');
  });
});

describe('a context', () => {
  it('is answered without a promise once it is made, in any spelling of the host', async () => {
    const { contextFor } = createLeafContexts(authority);
    const context = await contextFor('Quay.IO');
    for (const host of ['quay.io', 'QUAY.IO', 'quay.io.']) expect(contextFor(host)).toBe(context);
  });

  it('is made once for all who ask at the same time', async () => {
    const { contextFor } = createLeafContexts(authority);
    const contexts = await Promise.all(Array.from({ length: 20 }, async () => contextFor('quay.io')));
    expect(new Set(contexts).size).toBe(1);
  });

  it('is dropped when too many others were asked for since', async () => {
    const { contextFor } = contextsAt(authority, 2);
    const first = await contextFor('a.io');
    await contextFor('b.io');
    await contextFor('a.io');
    await contextFor('c.io');
    expect(contextFor('a.io')).toBe(first);
    expect(contextFor('b.io')).toBeInstanceOf(Promise);
  });

  it('is refused at once for what is no host', () => {
    const { contextFor } = createLeafContexts(authority);
    expect(() => contextFor('quay.io/../')).toThrowError(
      expect.objectContaining({ code: 'CONNECT_TARGET_INVALID' }),
    );
  });
});

describe('a process that is up for long', () => {
  it('serves a leaf while its successor is made, from two thirds of its life on', async () => {
    const { clock, contextFor } = contextsAt(authority);
    const first = await contextFor('quay.io');
    clock.day = 59.9;
    expect(contextFor('quay.io')).toBe(first);
    await new Promise(setImmediate);
    expect(contextFor('quay.io')).toBe(first);
    clock.day = 60.1;
    expect(contextFor('quay.io')).toBe(first);
    await successorOf(first, () => contextFor('quay.io'));
  });

  it('has a valid leaf after 400 days without restart', async () => {
    const { clock, now, contextFor } = contextsAt(authority);
    await contextFor('quay.io');
    clock.day = 400;
    const renewed = contextFor('quay.io');
    expect(renewed).toBeInstanceOf(Promise);
    const { leaf } = await handshake(await renewed, { rejectUnauthorized: false, servername: 'quay.io' });
    expect(leaf.validFromDate.getTime()).toBeLessThan(now());
    expect(leaf.validToDate.getTime()).toBeGreaterThan(now() + 89 * DAY);
  });

  it('serves no leaf that is not valid at that time, however the clock moves', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: -40, max: 120, noNaN: true }), { maxLength: 8 }),
        async (steps) => {
          const { clock, now, contextFor } = contextsAt(authority);
          for (const step of steps) {
            clock.day = Math.max(0, clock.day + step);
            const context = await contextFor('quay.io');
            const { leaf } = await handshake(context, { rejectUnauthorized: false });
            expect(leaf.validFromDate.getTime()).toBeLessThanOrEqual(now());
            expect(leaf.validToDate.getTime()).toBeGreaterThan(now() - 1000);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('does not renew in vain near the end of its authority, and says so after it', async () => {
    const { clock, contextFor } = contextsAt(authority);
    clock.day = (authority.notAfter.getTime() - START) / DAY - 10;
    const last = await contextFor('quay.io');
    clock.day += 9.9;
    expect(contextFor('quay.io')).toBe(last);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(contextFor('quay.io')).toBe(last);
    clock.day += 1;
    await expect(contextFor('quay.io')).rejects.toMatchObject({ code: 'CA_UNUSABLE' });
  });
});
