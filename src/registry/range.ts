/** A range of bytes, both ends included, that lies within its object. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** One range as a client wrote it, before the object's size is known. */
export type RangeSpec =
  | { readonly kind: 'from'; readonly start: number; readonly end: number | undefined }
  | { readonly kind: 'suffix'; readonly length: number };

/** What a `Range` header asks of an object. */
export type RangeRequest =
  /** The whole of it: no range, or one that RFC 9110 14.2 wants ignored. */
  | { readonly kind: 'full' }
  | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' };

/** More ranges than this in one request are no client of ours (RFC 9110, 17.15); it gets the whole. */
const MAX_RANGES = 64;
const SPEC = /^(\d{0,15})-(\d{0,15})$/;

/** Parses a `Range` header; undefined where it is absent, of another unit, or not well-formed. */
export function parseRangeSpecs(header: string | undefined): readonly RangeSpec[] | undefined {
  const equals = header?.indexOf('=') ?? -1;
  if (header === undefined || header.slice(0, equals).trim().toLowerCase() !== 'bytes') return undefined;
  const texts = header
    .slice(equals + 1)
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (texts.length === 0 || texts.length > MAX_RANGES) return undefined;
  const specs = texts.map(parseSpec);
  return specs.every((spec) => spec !== undefined) ? specs : undefined;
}

function parseSpec(text: string): RangeSpec | undefined {
  const [, first, last] = SPEC.exec(text) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') return { kind: 'suffix', length: Number(last) };
  const end = last === '' ? undefined : Number(last);
  if (end !== undefined && end < Number(first)) return undefined;
  return { kind: 'from', start: Number(first), end };
}

/** Places ranges in an object of `size` bytes: clipped to it, those outside left out, overlapping ones joined. */
export function resolveRanges(specs: readonly RangeSpec[], size: number): RangeRequest {
  const placed = specs.flatMap((spec): ByteRange[] => {
    if (spec.kind === 'suffix') {
      return spec.length === 0 || size === 0
        ? []
        : [{ start: Math.max(0, size - spec.length), end: size - 1 }];
    }
    return spec.start >= size ? [] : [{ start: spec.start, end: Math.min(spec.end ?? size - 1, size - 1) }];
  });
  if (placed.length === 0) return { kind: 'unsatisfiable' };
  return { kind: 'ranges', ranges: overlap(placed) ? joined(placed) : placed };
}

function overlap(ranges: readonly ByteRange[]): boolean {
  const sorted = ranges.toSorted((a, b) => a.start - b.start);
  return sorted.some((range, at) => at > 0 && range.start <= (sorted[at - 1]?.end ?? -1));
}

/** RFC 9110 15.3.7.2 lets a server join what overlaps, so that no byte is sent twice. */
function joined(ranges: readonly ByteRange[]): ByteRange[] {
  const result: ByteRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    const before = result.at(-1);
    if (before !== undefined && range.start <= before.end + 1) {
      result[result.length - 1] = { start: before.start, end: Math.max(before.end, range.end) };
    } else {
      result.push(range);
    }
  }
  return result;
}

/** Reads a `Range` header for an object of a known size (RFC 9110, 14.2). */
export function parseRange(header: string | undefined, size: number): RangeRequest {
  const specs = parseRangeSpecs(header);
  return specs === undefined ? { kind: 'full' } : resolveRanges(specs, size);
}

/** True where `Range` counts: no `If-Range`, or one with exactly this strong validator (RFC 9110, 13.1.5). */
export function ifRangeMatches(header: string | undefined, etag: string): boolean {
  return header === undefined || header.trim() === etag;
}

/** The `Content-Range` of a 206. */
export function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}

/** The `Content-Range` of a 416. */
export function unsatisfiedContentRange(size: number): string {
  return `bytes */${size}`;
}

/** Parses the `Content-Range` of an upstream's 206; undefined where it is none. */
export function parseContentRange(
  header: string | undefined,
): (ByteRange & { readonly size: number | undefined }) | undefined {
  const [, start, end, size] =
    /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(header?.trim() ?? '') ?? [];
  if (start === undefined || end === undefined || Number(end) < Number(start)) return undefined;
  return { start: Number(start), end: Number(end), size: size === '*' ? undefined : Number(size) };
}

/** What precedes a part's bytes in a multipart/byteranges body (RFC 9110, 14.6). */
export function multipartHeader(
  boundary: string,
  range: ByteRange,
  size: number,
  contentType: string,
): string {
  return `\r\n--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`;
}

/** What ends a multipart/byteranges body. */
export function closingDelimiter(boundary: string): string {
  return `\r\n--${boundary}--\r\n`;
}

/** Bytes of a whole multipart/byteranges body. */
export function multipartLength(
  boundary: string,
  ranges: readonly ByteRange[],
  size: number,
  contentType: string,
): number {
  const parts = ranges.map(
    (range) => multipartHeader(boundary, range, size, contentType).length + range.end - range.start + 1,
  );
  return parts.reduce((sum, part) => sum + part, closingDelimiter(boundary).length);
}
