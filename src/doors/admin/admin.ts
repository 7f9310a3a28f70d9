import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { LOOPBACK } from '../../config/address-set.ts';
import type { AdminListen } from '../../config/admin-listen.ts';
import type { ReloadReport } from '../../config/live-config.ts';
import { exposition, type Readings } from '../../observe/exposition.ts';
import type { Readiness } from '../../observe/readiness.ts';
import { asBreakwaterError, BreakwaterError, ociErrorBody } from '../../registry/errors.ts';
import { refuse } from '../connect/refuse.ts';
import { listen } from '../listen.ts';

export interface AdminParts {
  readonly listen: AdminListen;
  readonly readiness: Readiness;
  readonly readings: Readings;
  /** Reads the configuration again. */
  readonly reload: () => Promise<ReloadReport>;
  readonly log: Logger;
}

/** The listener for those who run the proxy; it answers until the very end, so that a drain can be seen. */
export interface Admin {
  /** `host:port`; undefined where it is off, or its port was taken and may be. */
  readonly address: string | undefined;
  close(): void;
}

const RELOAD = '/api/v1/config/reload';
const JSON_TYPE = 'application/json; charset=utf-8';
const LOCAL_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * Opens the admin listener. What changes something is for this machine alone: see `checkLocal`.
 * @throws `LISTEN_FAILED`, unless the address was to be had only if it is free.
 */
export async function openAdmin(parts: AdminParts): Promise<Admin> {
  const { listen: wanted, log } = parts;
  if (wanted === 'off') return { address: undefined, close: () => undefined };
  const server = createServer((request, response) => void answer(request, response, parts));
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

async function answer(request: IncomingMessage, response: ServerResponse, parts: AdminParts): Promise<void> {
  try {
    const [path = '/'] = (request.url ?? '/').split('?');
    const { status, type, body } =
      path === RELOAD ? await reloaded(request, parts) : read(request, path, parts);
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

function allow(method: string | undefined, allowed: readonly string[]): void {
  if (method !== undefined && allowed.includes(method)) return;
  throw new BreakwaterError('METHOD_NOT_ALLOWED', `${method ?? ''} is not allowed here`, {
    headers: { Allow: allowed.join(', ') },
  });
}

/**
 * Lets only programs on this machine go on: a page in a browser sends `Origin`, and one that has a name of its own lead
 * here sends that as `Host`.
 */
function checkLocal({ headers, socket }: IncomingMessage): void {
  const named = URL.parse(`http://${headers.host ?? ''}`)?.hostname ?? '';
  if (LOOPBACK.has(socket.remoteAddress ?? '') && LOCAL_NAMES.has(named) && headers.origin === undefined)
    return;
  throw new BreakwaterError('ACCESS_DENIED', 'only programs on the same machine may do this', {
    mend: 'Ask 127.0.0.1, or send SIGHUP.',
  });
}

async function reloaded(request: IncomingMessage, { reload }: AdminParts): Promise<Page> {
  allow(request.method, ['POST']);
  checkLocal(request);
  const report = await reload();
  if (report.outcome === 'refused') {
    return { status: 422, type: JSON_TYPE, body: ociErrorBody(report.error) };
  }
  const { changed, needRestart } = report;
  return { status: 200, type: JSON_TYPE, body: `${JSON.stringify({ changed, needRestart })}\n` };
}

function read(request: IncomingMessage, path: string, { readiness, readings }: AdminParts): Page {
  allow(request.method, ['GET', 'HEAD']);
  switch (path) {
    case '/healthz':
    case '/livez':
    case '/ping':
      return { status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n' };
    case '/readyz': {
      const report = readiness.report();
      const body = `${JSON.stringify(report)}\n`;
      return { status: report.ready ? 200 : 503, type: JSON_TYPE, body };
    }
    case '/metrics':
      return { status: 200, ...exposition(readings, request.headers.accept) };
    default:
      throw new BreakwaterError('NOT_FOUND', `nothing is served at ${path.slice(0, 200)}`, {
        mend: `The admin listener has /metrics, /healthz, /readyz and ${RELOAD}; clients use the other port.`,
      });
  }
}
