import { createHash } from 'node:crypto';

/** The types by which registries choose; what else clients list (any type, schema 1) makes no difference beside them. */
const MANIFEST_TYPES: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]);

/**
 * What stands for an `Accept` header in a tag's key: registries choose by it which manifest a tag means.
 * The order of the types and their spacing do not matter. All of today's clients list the same four types, and
 * so have one variant: what one of them pulled is there for the others in an outage.
 */
export function variantOf(accept: string | undefined): string {
  const types = (accept ?? '').toLowerCase().split(',').flatMap(acceptedType);
  const deciding = types.filter((type) => MANIFEST_TYPES.has(type));
  const distinct = [...new Set(deciding.length > 0 ? deciding : types)].sort();
  return createHash('sha256').update(distinct.join(',')).digest('base64url').slice(0, 16);
}

/** The type of one entry of the list, unless its weight says that it is not accepted (RFC 9110, 12.4.2). */
function acceptedType(entry: string): string[] {
  const [type = '', ...parameters] = entry.split(';').map((part) => part.trim());
  const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  return type === '' || refused ? [] : [type];
}
