import type { IncomingHttpHeaders } from 'node:http';
import { expect } from 'vitest';
import { sha256Of, type Blob, type Content } from './content.ts';
import type { Pulled } from './pull-client.ts';

export function blobPath(repository: string, { digest }: Pick<Blob, 'digest'>): string {
  return `/v2/${repository}/blobs/${digest}`;
}

/** @param reference a tag, or what has a digest. */
export function manifestPath(repository: string, reference: string | Pick<Blob, 'digest'>): string {
  return `/v2/${repository}/manifests/${typeof reference === 'string' ? reference : reference.digest}`;
}

/** How the proxy says that it came by an answer. */
export function cacheStatus({ headers }: { readonly headers: IncomingHttpHeaders }): string | undefined {
  return headers['x-docker-registry-proxy-cache-upstream-status']?.toString();
}

/**
 * Asks until the answer is no longer one of the fill: an object has its name on the disk a moment before the
 * cache knows of it. Gives the first HIT, or what is no success.
 */
export async function untilHit(pull: () => Promise<Pulled>): Promise<Pulled> {
  for (;;) {
    const pulled = await pull();
    if (pulled.status !== 200 || cacheStatus(pulled) === 'HIT') return pulled;
  }
}

/** Insists on a whole answer with exactly these bytes. */
export function expectWhole(pulled: Pulled, content: Content): void {
  expect(pulled).toMatchObject({ status: 200, complete: true, error: undefined, bytes: content.size });
  expect(pulled.sha256).toBe(sha256Of(content));
  expect(pulled.headers['content-length']).toBe(String(content.size));
}

/** Insists on a 206 with exactly these bytes; `end` is exclusive. */
export function expectRange(pulled: Pulled, content: Content, start: number, end: number): void {
  expect(pulled).toMatchObject({ status: 206, complete: true, error: undefined, bytes: end - start });
  expect(pulled.sha256).toBe(sha256Of(content, start, end));
  expect(pulled.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${content.size}`);
  expect(pulled.headers['content-length']).toBe(String(end - start));
}

/** Insists on a failure that was answered, not cut, with the proxy's own code. */
export function expectError(pulled: Pulled, status: number, reason: string): void {
  expect(pulled).toMatchObject({ status, complete: true });
  const { errors } = JSON.parse(pulled.body.toString()) as {
    errors: { detail: { reason: string } | null }[];
  };
  expect(errors[0]?.detail?.reason).toBe(reason);
}

/** Insists on an answer that was cut: right as far as it went, and not to be mistaken for the whole. */
export function expectCut(pulled: Pulled, content: Content): void {
  expect(pulled.complete).toBe(false);
  expect(pulled.bytes).toBeLessThan(content.size);
  expect(pulled.sha256).toBe(sha256Of(content, 0, pulled.bytes));
}
