import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authority } from '../../ca/authority.ts';
import { asBreakwaterError, BreakwaterError } from '../../registry/errors.ts';
import { refuse } from '../connect/refuse.ts';
import { homePage } from './home-page.ts';
import { systemdScript } from './setup-systemd.ts';

/** Answers what is asked of the proxy itself. */
export type Site = (request: IncomingMessage, response: ServerResponse) => void;

interface Page {
  readonly type: string;
  readonly body: string | Buffer;
  readonly headers?: Record<string, string>;
}

/** The reference's greeting; scripts look for it. */
const GREETING = 'docker-registry-proxy: The docker caching proxy is working!';

export function createSite(authority: Authority): Site {
  function page(request: IncomingMessage): Page {
    // as it came: a URL parser would take `//host/` for a host and `/..` for the root
    const [path = '/', query] = (request.url ?? '/').split(/\?(.*)/s);
    switch (path) {
      case '/':
        return request.headers.accept?.includes('text/html') === true
          ? { type: 'text/html; charset=utf-8', body: homePage(authority) }
          : { type: 'text/plain; charset=utf-8', body: GREETING };
      case '/ca.crt':
        return new URLSearchParams(query).get('format') === 'der'
          ? { type: 'application/pkix-cert', body: authority.certificateDer, headers: ATTACHED }
          : { type: 'application/x-x509-ca-cert', body: authority.certificatePem, headers: ATTACHED };
      case '/setup/systemd':
        return { type: 'text/x-shellscript; charset=utf-8', body: systemdScript(request.headers.host) };
      default:
        throw new BreakwaterError('NOT_FOUND', `nothing is served at ${path.slice(0, 200)}`, {
          mend: 'Point clients at this address as HTTPS_PROXY; /ca.crt and /setup/systemd help to set them up.',
        });
    }
  }

  return (request, response) => {
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new BreakwaterError('METHOD_NOT_ALLOWED', `${request.method ?? ''} is not allowed here`, {
          headers: { Allow: 'GET, HEAD' },
        });
      }
      const { type, body, headers = {} } = page(request);
      response.writeHead(200, {
        'Content-Type': type,
        'Content-Length': Buffer.byteLength(body),
        'X-Content-Type-Options': 'nosniff',
        ...headers,
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    } catch (thrown) {
      refuse(request, response, asBreakwaterError(thrown));
    }
  };
}

const ATTACHED = { 'Content-Disposition': 'attachment; filename="ca.crt"' };
