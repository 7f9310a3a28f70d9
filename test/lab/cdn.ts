import { createReadStream, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join, normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Pki } from './pki.ts';
import { Server, type ServerRequest } from './server.ts';
import type { Space } from './space.ts';

export const CDN_ADDRESS = '127.0.0.6';
export const CDN_HOST = 'production.cloudflare.docker.com';

export interface CdnRequest extends ServerRequest {
  readonly host: string;
  readonly status: number;
  readonly userAgent: string;
  readonly range: string | null;
  /** Whether credentials were sent here: they must not be. */
  readonly authorization: boolean;
}

interface CdnConfig {
  readonly pki: Pki;
  /** The folder served under each host name. */
  readonly roots: Readonly<Record<string, string>>;
}

/** The host that registries redirect blobs to: it serves their own files. */
export function createCdn(
  space: Space,
  pki: Pki,
  roots: Readonly<Record<string, string>>,
): Server<CdnRequest> {
  const config: CdnConfig = { pki, roots };
  return new Server<CdnRequest>(space, {
    name: 'CDN',
    host: CDN_HOST,
    address: CDN_ADDRESS,
    command: [process.execPath, import.meta.filename, JSON.stringify(config)],
    // The line was written by this very file.
    parse: (line) => (line.startsWith('{') ? (JSON.parse(line) as CdnRequest) : undefined),
  });
}

interface Range {
  readonly start: number;
  readonly end: number;
}

function serve({ pki, roots }: CdnConfig): void {
  const server = createServer({ cert: readFileSync(pki.serverCert), key: readFileSync(pki.serverKey) });
  server.on('request', (request, response) => void answer(request, response, roots));
  server.listen(443, CDN_ADDRESS, () => console.log('listening on', CDN_ADDRESS));
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  roots: CdnConfig['roots'],
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://localhost');
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  const root = roots[host];
  const file = root === undefined ? undefined : join(root, normalize(decodeURIComponent(url.pathname)));
  const size = file === undefined ? undefined : await sizeOf(file);
  const range = request.headers.range ?? null;
  const part = size === undefined || range === null ? undefined : parseRange(range, size);
  const status = size === undefined ? 404 : part === undefined ? 200 : part === 'unsatisfiable' ? 416 : 206;
  const entry: CdnRequest = {
    method: request.method ?? '',
    path: request.url ?? '',
    host,
    status,
    userAgent: request.headers['user-agent'] ?? '',
    range,
    authorization: request.headers.authorization !== undefined,
  };
  console.log(JSON.stringify(entry));
  if (file === undefined || size === undefined) {
    response.writeHead(404).end();
    return;
  }
  if (part === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    return;
  }
  const { start, end } = part ?? { start: 0, end: size - 1 };
  response.writeHead(status, {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    'content-length': end - start + 1,
    ...(part === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === 'HEAD' || size === 0) {
    response.end();
    return;
  }
  // A client that leaves is no fault of the CDN.
  await pipeline(createReadStream(file, { start, end }), response).catch(() => {});
}

async function sizeOf(file: string): Promise<number | undefined> {
  const info = await stat(file).catch(() => undefined);
  return info?.isFile() === true ? info.size : undefined;
}

/** One range of RFC 9110 section 14.1.2; undefined, and so ignored, is what this server does not understand. */
function parseRange(header: string, size: number): Range | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start >= size) return 'unsatisfiable';
  return end < start ? undefined : { start, end };
}

// The argument was made by `createCdn`.
if (import.meta.main) serve(JSON.parse(process.argv[2] ?? '') as CdnConfig);
