import type { Digest } from './digest.ts';

/** The entity tag of an object: its digest, as registries have it; it is a strong one. */
export function etagOf(digest: Digest): string {
  return `"${digest}"`;
}

/**
 * Whether an If-None-Match header names this entity tag, so that 304 is the answer (RFC 9110 section 13.1.2).
 * The comparison is weak and `*` names all; a bare digest counts, as registries take it.
 */
export function ifNoneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const opaque = withoutWeakness(etag);
  const text = header.trim();
  return text === '*' || entityTags(text).some((tag) => tag === opaque || `"${tag}"` === opaque);
}

/** The tags of a list without their weakness; a quoted tag may hold commas. */
function entityTags(text: string): string[] {
  return (text.match(/(?:W\/)?"[^"]*"|[^",\s]+/g) ?? []).map(withoutWeakness);
}

function withoutWeakness(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}
