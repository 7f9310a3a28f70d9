import { LRUCache } from 'lru-cache';

/** The media types a manifest may have: OCI image spec "Media Types", and Docker's image manifests. */
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_MANIFEST_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
/** Schema 1 with signatures: its digest is not that of its bytes. */
export const DOCKER_SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
export const DOCKER_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
/** Of the release candidates of OCI 1.1; artifacts of that time have it. */
export const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';

const MANIFESTS: ReadonlySet<string> = new Set([
  OCI_INDEX,
  DOCKER_MANIFEST_LIST,
  OCI_MANIFEST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1_SIGNED,
  DOCKER_SCHEMA1,
  OCI_ARTIFACT,
]);

const TYPE = /^[!#$%&'*+.^_`|~0-9a-z-]+\/[!#$%&'*+.^_`|~0-9a-z-]+$/;
const ZERO_WEIGHT = /^q\s*=\s*0(?:\.0*)?$/i;

/** The `type/subtype` of a Content-Type, lower-case and without parameters; undefined where it has none. */
export function parseMediaType(header: string | undefined): string | undefined {
  const essence = (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return TYPE.test(essence) ? essence : undefined;
}

/** True for every manifest, indexes included. */
export function isManifestMediaType(mediaType: string): boolean {
  return MANIFESTS.has(mediaType);
}

/**
 * Whether an Accept header, several lines of it joined by commas, admits a media type (RFC 9110 section 12.5.1).
 * The most specific range that matches decides, `q=0` refuses, and no header or an empty one admits everything.
 * Parameters other than the weight are not compared: manifest types have none.
 */
export function accepts(acceptHeader: string | undefined, mediaType: string): boolean {
  const weights = weightsOf(acceptHeader ?? '');
  const exact = weights.get(mediaType);
  if (exact !== undefined) return exact;
  if (weights.size === 0) return true;
  const essence = parseMediaType(mediaType) ?? mediaType.toLowerCase();
  const group = `${essence.split('/', 1)[0] ?? ''}/*`;
  return weights.get(essence) ?? weights.get(group) ?? weights.get('*/*') ?? false;
}

/** Clients of one kind send the same header each time. */
const parsed = new LRUCache<string, ReadonlyMap<string, boolean>>({ max: 500 });

function weightsOf(acceptHeader: string): ReadonlyMap<string, boolean> {
  const known = parsed.get(acceptHeader);
  if (known !== undefined) return known;
  const weights = new Map<string, boolean>();
  for (const [range, isAdmitted] of splitList(acceptHeader).map(parseAcceptItem)) {
    if (range !== '') weights.set(range, isAdmitted || weights.get(range) === true);
  }
  parsed.set(acceptHeader, weights);
  return weights;
}

/** A media range in lower case, and whether its weight admits it. */
function parseAcceptItem(item: string): readonly [string, boolean] {
  const [range = '', ...parameters] = item.split(';');
  const isRefused = parameters.some((parameter) => ZERO_WEIGHT.test(parameter.trim()));
  return [range.trim().toLowerCase(), !isRefused];
}

/** Splits at the commas that are not inside a quoted string. */
function splitList(text: string): string[] {
  const items: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\' && isQuoted) at += 1;
    else if (char === '"') isQuoted = !isQuoted;
    else if (char === ',' && !isQuoted) {
      items.push(text.slice(start, at));
      start = at + 1;
    }
  }
  items.push(text.slice(start));
  return items;
}
