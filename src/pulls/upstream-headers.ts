import type { IncomingMessage } from 'node:http';

/** The headers of a question of ours to upstream: what the client accepts, and who it says it is. */
export function upstreamHeaders(request: IncomingMessage): Record<string, string> {
  const { accept, 'user-agent': agent } = request.headers;
  return {
    // a content coding would be another representation, with another digest
    'accept-encoding': 'identity',
    ...(accept === undefined ? {} : { accept }),
    ...(agent === undefined ? {} : { 'user-agent': agent }),
  };
}
