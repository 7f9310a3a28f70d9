import { parseDigest, type Digest } from './digest.ts';
import { BreakwaterError } from './errors.ts';
import { parseRepositoryName, parseTag, type RepositoryName, type Tag } from './name.ts';

/** What a manifest is asked by. */
export type ManifestReference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest };

/** A path of the registry protocol as a value (distribution-spec, "Endpoints"). */
export type Route =
  | { readonly kind: 'ping' }
  | { readonly kind: 'manifest'; readonly repository: RepositoryName; readonly reference: ManifestReference }
  | { readonly kind: 'blob'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'upload'; readonly repository: RepositoryName }
  | { readonly kind: 'tags'; readonly repository: RepositoryName }
  | { readonly kind: 'referrers'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'v1' }
  /** No part of the protocol; `path` is as it came. */
  | { readonly kind: 'other'; readonly path: string };

/**
 * Parses an origin-form target, its query left aside.
 * Names may hold the protocol's own words, so the path is read from its end.
 * @throws `PATH_INVALID`, `NAME_INVALID`, `TAG_INVALID`, `DIGEST_INVALID`.
 */
export function parseRoute(target: string): Route {
  const path = target.replace(/[?#].*$/s, '');
  if (path === '/v1' || path.startsWith('/v1/')) return { kind: 'v1' };
  if (path === '/v2' || path === '/v2/') return { kind: 'ping' };
  if (!path.startsWith('/v2/')) return { kind: 'other', path };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  const parts = path.slice('/v2/'.length).split('/').map(decode);
  const last = parts.at(-1) ?? '';
  const name = (count: number): RepositoryName => parseRepositoryName(parts.slice(0, count).join('/'));
  const upload = parts.findLastIndex((part, at) => part === 'uploads' && parts[at - 1] === 'blobs');
  if (upload > 1 && upload >= parts.length - 2) return { kind: 'upload', repository: name(upload - 1) };
  if (parts.length >= 3) {
    const before = parts.length - 2;
    switch (parts[before]) {
      case 'manifests':
        return { kind: 'manifest', repository: name(before), reference: parseReference(last) };
      case 'blobs':
        return { kind: 'blob', repository: name(before), digest: parseDigest(last) };
      case 'referrers':
        return { kind: 'referrers', repository: name(before), digest: parseDigest(last) };
      case 'tags':
        if (last === 'list') return { kind: 'tags', repository: name(before) };
        break;
      default:
    }
  }
  return { kind: 'other', path };
}

/** The path of a route; `parseRoute` gives the route back. */
export function formatRoute(route: Route): string {
  switch (route.kind) {
    case 'ping':
      return '/v2/';
    case 'manifest': {
      const { reference } = route;
      return `/v2/${route.repository}/manifests/${reference.kind === 'tag' ? reference.tag : reference.digest}`;
    }
    case 'blob':
      return `/v2/${route.repository}/blobs/${route.digest}`;
    case 'upload':
      return `/v2/${route.repository}/blobs/uploads/`;
    case 'tags':
      return `/v2/${route.repository}/tags/list`;
    case 'referrers':
      return `/v2/${route.repository}/referrers/${route.digest}`;
    case 'catalog':
      return '/v2/_catalog';
    case 'v1':
      return '/v1/';
    case 'other':
      return route.path;
  }
}

function parseReference(text: string): ManifestReference {
  if (text.includes(':')) return { kind: 'digest', digest: parseDigest(text) };
  return { kind: 'tag', tag: parseTag(text) };
}

/** Decodes one segment; a segment that would be more than one, or none, is refused. */
function decode(segment: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch (cause) {
    throw new BreakwaterError('PATH_INVALID', 'the path holds a broken percent-encoding', { cause });
  }
  if (decoded === '.' || decoded === '..' || /[/\\\p{Cc}]/u.test(decoded)) {
    throw new BreakwaterError('PATH_INVALID', 'the path holds a segment that is not allowed');
  }
  return decoded;
}
