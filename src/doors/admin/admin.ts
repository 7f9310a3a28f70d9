import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { AdminListen } from '../../config/admin-listen.ts';
import { exposition, type Readings } from '../../observe/exposition.ts';
import type { Readiness } from '../../observe/readiness.ts';
import { asBreakwaterError, BreakwaterError } from '../../registry/errors.ts';
import { refuse } from '../connect/refuse.ts';
import { listen } from '../listen.ts';

export interface AdminParts {
  readonly listen: AdminListen;
  readonly readiness: Readiness;
  readonly readings: Readings;
  readonly log: Logger;
}

/** The listener for those who run the proxy; it answers until the very end, so that a drain can be seen. */
export interface Admin {
  /** `host:port`; undefined where it is off, or its port was taken and may be. */
  readonly address: string | undefined;
  close(): void;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * Opens the admin listener. Nothing that it serves changes anything.
 * @throws `LISTEN_FAILED`, unless the address was to be had only if it is free.
 */
export async function openAdmin({ listen: wanted, readiness, readings, log }: AdminParts): Promise<Admin> {
  if (wanted === 'off') return { address: undefined, close: () => undefined };
  const server = createServer((request, response) => answer(request, response, readiness, readings));
  // the proxy's own listener keeps the process alive, not this one
  server.unref();
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  try {
    return { address: await listen(server, wanted, 'ADMIN_LISTEN'), close };
  } catch (thrown) {
    if (!wanted.ifFree) throw thrown;
    const { message: reason } = asBreakwaterError(thrown);
    log.warn({ reason }, 'no admin listener: set ADMIN_LISTEN to a free address, or to off');
    return { address: undefined, close };
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  readiness: Readiness,
  readings: Readings,
): void {
  try {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new BreakwaterError('METHOD_NOT_ALLOWED', `${request.method ?? ''} is not allowed here`, {
        headers: { Allow: 'GET, HEAD' },
      });
    }
    const { status, type, body } = page(request, readiness, readings);
    response.writeHead(status, {
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  } catch (thrown) {
    refuse(request, response, asBreakwaterError(thrown));
  }
}

function page(request: IncomingMessage, readiness: Readiness, readings: Readings): Page {
  const [path = '/'] = (request.url ?? '/').split('?');
  switch (path) {
    case '/healthz':
    case '/livez':
    case '/ping':
      return { status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n' };
    case '/readyz': {
      const report = readiness.report();
      const body = `${JSON.stringify(report)}\n`;
      return { status: report.ready ? 200 : 503, type: 'application/json; charset=utf-8', body };
    }
    case '/metrics':
      return { status: 200, ...exposition(readings, request.headers.accept) };
    default:
      throw new BreakwaterError('NOT_FOUND', `nothing is served at ${path.slice(0, 200)}`, {
        mend: 'The admin listener has /metrics, /healthz and /readyz; clients use the other port.',
      });
  }
}
