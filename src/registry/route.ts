import { type Digest, parseDigest } from './digest.ts';
import { BreakwaterError } from './errors.ts';
import { parseRepositoryName, parseTag, type RepositoryName, type Tag } from './name.ts';

/** How a request names a manifest: by a tag, which can move, or by a digest, which cannot. */
export type ManifestReference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest };

/**
 * What a request path names (distribution-spec, "Endpoints"); the query is not part of it.
 * `other` keeps its path as it was received, undecoded and without the query.
 */
export type Route =
  | { readonly kind: 'ping' }
  | { readonly kind: 'manifest'; readonly repository: RepositoryName; readonly reference: ManifestReference }
  | { readonly kind: 'blob'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'tags'; readonly repository: RepositoryName }
  | { readonly kind: 'referrers'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'upload'; readonly repository: RepositoryName }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'v1' }
  | { readonly kind: 'other'; readonly path: string };

/**
 * Parses a request target, a path with an optional query (RFC 9112 section 3.2.1) or `*`, into a route.
 * Percent-escapes in names and references are decoded once. A path that a URL parser would read as another one
 * is refused.
 * @throws `PATH_INVALID`, `NAME_INVALID`, `TAG_INVALID` or `DIGEST_INVALID`.
 */
export function parseRoute(target: string): Route {
  if (target === '*') return { kind: 'other', path: '*' };
  const path = pathOf(target);
  const segments = path.split('/').map((segment) => decode(segment, path));
  // Upstream resolves dot segments and takes "\" for "/": the path would name something else there.
  if (segments.some((segment) => segment.split(/[/\\]/).some(isDotSegment))) {
    throw pathInvalid(path, 'dot segments are not allowed');
  }
  const start = segments.findIndex((segment) => segment !== '');
  const version = segments[start];
  if (version !== 'v1' && version !== 'v2') return { kind: 'other', path };
  if (start !== 1 || segments.slice(1, -1).includes('')) throw pathInvalid(path, 'it has an empty segment');
  if (!path.startsWith(`/${version}`)) throw pathInvalid(path, 'the version is percent-encoded');
  if (version === 'v1') return { kind: 'v1' };
  if (segments.some((segment) => /[/\\]/.test(segment))) throw pathInvalid(path, 'it has an encoded slash');
  return parseV2(segments.slice(2)) ?? { kind: 'other', path };
}

/**
 * Parses what follows `/v2/`. Names may hold `blobs`, `manifests` and `tags` as components, so the end decides:
 * `a/manifests/b/manifests/latest` is the tag `latest` of `a/manifests/b`.
 */
function parseV2(segments: readonly string[]): Route | undefined {
  const last = segments.at(-1) ?? '';
  const marker = segments.at(-2);
  if (segments.length === 0 || (segments.length === 1 && last === '')) return { kind: 'ping' };
  if (segments.length === 1 && last === '_catalog') return { kind: 'catalog' };
  const before = (count: number): RepositoryName => parseRepositoryName(segments.slice(0, count).join('/'));
  const name = (): RepositoryName => before(segments.length - 2);
  if (marker === 'manifests')
    return { kind: 'manifest', repository: name(), reference: parseReference(last) };
  if (marker === 'referrers') return { kind: 'referrers', repository: name(), digest: parseDigest(last) };
  if (marker === 'tags' && last === 'list') return { kind: 'tags', repository: name() };
  if (marker === 'blobs' && last !== 'uploads') {
    return { kind: 'blob', repository: name(), digest: parseDigest(last) };
  }
  const upload = segments.findLastIndex((part, at) => part === 'blobs' && segments[at + 1] === 'uploads');
  return upload === -1 ? undefined : { kind: 'upload', repository: before(upload) };
}

/** The path of a route, without a query; `parseRoute` gives the same route back. */
export function formatRoute(route: Route): string {
  switch (route.kind) {
    case 'ping':
      return '/v2/';
    case 'manifest':
      return `/v2/${route.repository}/manifests/${formatReference(route.reference)}`;
    case 'blob':
      return `/v2/${route.repository}/blobs/${route.digest}`;
    case 'tags':
      return `/v2/${route.repository}/tags/list`;
    case 'referrers':
      return `/v2/${route.repository}/referrers/${route.digest}`;
    case 'upload':
      return `/v2/${route.repository}/blobs/uploads/`;
    case 'catalog':
      return '/v2/_catalog';
    case 'v1':
      return '/v1/';
    default:
      return route.path;
  }
}

/** A tag cannot hold a colon, a digest must. */
function parseReference(text: string): ManifestReference {
  if (text.includes(':')) return { kind: 'digest', digest: parseDigest(text) };
  return { kind: 'tag', tag: parseTag(text) };
}

function formatReference(reference: ManifestReference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}

function isDotSegment(segment: string): boolean {
  return segment === '.' || segment === '..';
}

function pathOf(target: string): string {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (!path.startsWith('/')) throw pathInvalid(path, 'it does not begin with a slash');
  if (target.includes('#')) throw pathInvalid(path, 'it has a fragment');
  if (path.includes('\\')) throw pathInvalid(path, 'it has a backslash');
  return path;
}

function decode(segment: string, path: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch (cause) {
    throw pathInvalid(path, 'it has a bad percent-escape', cause);
  }
  if (/\p{Cc}/u.test(decoded)) throw pathInvalid(path, 'it has a control character');
  return decoded;
}

function pathInvalid(path: string, reason: string, cause?: unknown): BreakwaterError {
  const shown = JSON.stringify(path.slice(0, 200));
  return new BreakwaterError('PATH_INVALID', `invalid path ${shown}: ${reason}`, { cause });
}
