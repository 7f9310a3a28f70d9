import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';
import type { Content } from './content.ts';

/** The upstream that fills both caches; plain HTTP, and idle while anything is measured. */
export interface Registry {
  readonly port: number;
  /** GET requests so far: a warm cache makes none. */
  requests(): number;
  /** When the headers of its last answer went out (`performance.now()`). */
  answeredAt(): number;
  close(): void;
}

const CHUNK = 64 * 1024;

/** @param rate bytes that a body gets in a second. */
export async function startRegistry(contents: readonly Content[], rate = Infinity): Promise<Registry> {
  let requests = 0;
  let answeredAt = 0;
  const server = createServer((request, response) => {
    const content = contents.find(({ path }) => path === request.url);
    requests += 1;
    if (content === undefined) {
      response.writeHead(404, { 'Content-Length': 0 }).end();
      return;
    }
    response.writeHead(200, {
      'Content-Type': content.type,
      'Content-Length': content.size,
      'Docker-Content-Digest': content.path.slice(content.path.lastIndexOf('/') + 1),
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.flushHeaders();
    answeredAt = performance.now();
    createReadStream(content.file, { highWaterMark: CHUNK }).pipe(paced(rate)).pipe(response);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    requests: () => requests,
    answeredAt: () => answeredAt,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function paced(rate: number): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (rate === Infinity) done(null, chunk);
      else setTimeout(done, (chunk.length / rate) * 1000, null, chunk);
    },
  });
}
