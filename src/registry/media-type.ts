/** The media types of image indexes, which lead to a manifest a platform. */
const INDEXES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const;

/** The media types of single manifests. */
const MANIFESTS = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.artifact.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
] as const;

const KNOWN: ReadonlySet<string> = new Set([...INDEXES, ...MANIFESTS]);
const TOKENS = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+$/;

/** The type and subtype of a `Content-Type`, lower case, without parameters; undefined where it is none. */
export function parseMediaType(header: string | undefined): string | undefined {
  const essence = (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return TOKENS.test(essence) ? essence : undefined;
}

export function isManifestMediaType(mediaType: string): boolean {
  return KNOWN.has(mediaType);
}

/**
 * True where an `Accept` header admits a media type (RFC 9110, 12.5.1): the most specific entry decides,
 * `q=0` excludes, no header admits all.
 */
export function accepts(accept: string | undefined, mediaType: string): boolean {
  const entries = (accept ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  if (entries.length === 0) return true;
  const [type] = mediaType.split('/', 1);
  for (const wanted of [mediaType, `${type}/*`, '*/*']) {
    const entry = entries.find((candidate) => parseMediaType(candidate) === wanted);
    if (entry !== undefined) return !/;\s*q\s*=\s*0(?:\.0{0,3})?\s*(?:;|$)/i.test(entry);
  }
  return false;
}
