import { randomUUID } from 'node:crypto';
import { markedSecret } from '../support/marked-secrets.ts';
import type { Blob } from './content.ts';
import { errorAnswer, redirectTo, type Reply } from './reply.ts';
import type { ScriptedServer } from './scripted-server.ts';

export interface SignedUrlOptions {
  /** Milliseconds that a URL works. */
  readonly lifetime?: number;
  /** Requests that a URL answers. */
  readonly uses?: number;
}

/** Addresses on a CDN that work for a while only, as those that registries redirect to. */
export interface SignedUrls {
  /** A new address of a blob. */
  sign(blob: Blob): string;
  /** The reply of a registry that redirects to a new address each time. */
  readonly redirect: (blob: Blob, status?: number) => () => Reply;
  /** Ends all addresses given so far. */
  expireAll(): void;
}

interface Signed {
  readonly blob: Blob;
  readonly until: number;
  uses: number;
}

export function createSignedUrls(cdn: ScriptedServer, options: SignedUrlOptions = {}): SignedUrls {
  const { lifetime = Infinity, uses = Infinity } = options;
  const signatures = new Map<string, Signed>();
  const folder = `/signed/${randomUUID()}/`;
  cdn.handle(({ path, query }) => {
    if (!path.startsWith(folder)) return undefined;
    const signature = new URLSearchParams(query).get('signature') ?? '';
    const signed = signatures.get(signature);
    if (signed === undefined || performance.now() > signed.until || signed.uses <= 0) {
      return errorAnswer(403, 'EXPIRED');
    }
    signed.uses -= 1;
    return {
      status: 200,
      headers: { 'content-type': 'binary/octet-stream', 'accept-ranges': 'bytes' },
      content: signed.blob,
    };
  });
  const sign: SignedUrls['sign'] = (blob) => {
    const signature = markedSecret(randomUUID());
    signatures.set(signature, { blob, until: performance.now() + lifetime, uses });
    return `${cdn.origin()}${folder}${blob.digest.slice(-12)}?signature=${signature}`;
  };
  return {
    sign,
    redirect: (blob, status) => () => redirectTo(sign(blob), status),
    expireAll: () => signatures.clear(),
  };
}
