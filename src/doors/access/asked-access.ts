import { parseRoute } from '../../registry/route.ts';

/** What a request needs: something of the registry as a whole, or of one repository. */
export type AskedAccess =
  /** What every pull and push begins with, and which gives nothing away. */
  | { readonly kind: 'entry' }
  | { readonly kind: 'use'; readonly repository: string | undefined; readonly action: 'pull' | 'push' };

const ENTRY: AskedAccess = { kind: 'entry' };
/** Where registries give out tokens: `/token`, `/v2/auth`, `/jwt/auth`, `/oauth2/exchange`. */
const TOKEN_PATH = /\/(?:token|auth|exchange)$/;

/**
 * All that a request to a registry asks for.
 * @throws what `parseRoute` throws.
 */
export function askedAccess(method: string, target: string): readonly AskedAccess[] {
  const route = parseRoute(target);
  const reads = method === 'GET' || method === 'HEAD';
  switch (route.kind) {
    case 'ping':
    case 'v1':
      return [ENTRY];
    case 'other':
      if (TOKEN_PATH.test(route.path)) return [ENTRY];
      return [use(undefined, reads ? 'pull' : 'push')];
    case 'catalog':
      return [use(undefined, 'pull')];
    case 'upload': {
      const query = new URLSearchParams(target.split(/\?(.*)/s)[1]);
      const mounted = query.getAll('from').map((repository) => use(repository, 'pull'));
      // without its repository a registry may look for the blob anywhere (distribution-spec, "Mounting a blob")
      if (mounted.length === 0 && query.has('mount')) mounted.push(use(undefined, 'pull'));
      return [use(route.repository, 'push'), ...mounted];
    }
    default:
      return [use(route.repository, reads ? 'pull' : 'push')];
  }
}

function use(repository: string | undefined, action: 'pull' | 'push'): AskedAccess {
  return { kind: 'use', repository, action };
}
