import type { Digest } from './digest.ts';

/** The entity tag of an object: its digest, as registries have it; it is a strong one. */
export function etagOf(digest: Digest): string {
  return `"${digest}"`;
}

/** True where an `If-None-Match` header names this entity tag, so that 304 is the answer (RFC 9110, 13.1.2). */
export function ifNoneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((candidate) => {
    const tag = candidate.trim();
    // weak comparison; docker-registry takes the bare digest too
    return tag === '*' || tag.replace(/^W\//, '') === etag || `"${tag}"` === etag;
  });
}
