import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Content } from './content.ts';

/** The upstream that fills both caches; plain HTTP, and idle while anything is measured. */
export interface Registry {
  readonly port: number;
  /** GET requests so far: a warm cache makes none. */
  requests(): number;
  close(): void;
}

export async function startRegistry(contents: readonly Content[]): Promise<Registry> {
  let requests = 0;
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
    createReadStream(content.file).pipe(response);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    requests: () => requests,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
