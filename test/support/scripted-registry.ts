import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { createPki } from '../lab/pki.ts';
import type { Settings } from './local-proxy.ts';

/** A registry in the test's own process; what it answers is the test's to say. */
export interface ScriptedRegistry extends AsyncDisposable {
  /** `localhost:port`, as clients and `REGISTRIES` name it. */
  readonly name: string;
  /** What a proxy needs to intercept it and to trust it. */
  readonly settings: Settings;
  /** Path by path, what it was asked. */
  readonly requests: readonly string[];
}

export type Script = (request: IncomingMessage, response: ServerResponse) => void;

/** Starts a registry whose certificate is made in `folder`. */
export async function startScriptedRegistry(folder: string, script: Script): Promise<ScriptedRegistry> {
  const pki = await createPki(join(folder, 'upstream'), ['localhost']);
  const server = createServer({
    cert: readFileSync(pki.serverCert),
    key: readFileSync(pki.serverKey),
    maxHeaderSize: 1 << 20,
  });
  const requests: string[] = [];
  server.on('request', (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    script(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const name = `localhost:${address.port}`;
  return {
    name,
    settings: { REGISTRIES: name, EXTRA_CA_FILE: pki.caCert, DISABLE_IPV6: 'true' },
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A blob and the path it is served at. */
export interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly path: string;
}

export function blobOf(bytes: Buffer): Blob {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { bytes, digest, path: `/v2/team/app/blobs/${digest}` };
}

/** A server of one blob that sends its first half and keeps the rest until it is told to go on. */
export function halfwayScript(blob: Blob): { readonly script: Script; readonly release: () => void } {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const half = Math.floor(blob.bytes.length / 2);
  const script: Script = (request, response) => {
    if (request.url !== blob.path) return void response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': blob.bytes.length,
    });
    response.write(blob.bytes.subarray(0, half));
    void released.then(() => response.end(blob.bytes.subarray(half)));
  };
  return { script, release };
}
