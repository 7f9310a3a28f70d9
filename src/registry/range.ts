/** One asked-for range as it was written: from an offset on, or a number of bytes at the end. */
export type RangeSpec =
  | { readonly kind: 'from'; readonly start: number; readonly end: number | undefined }
  | { readonly kind: 'suffix'; readonly length: number };

/** Bytes `start` to `end` of an object, both included, counted from 0. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What to answer: the whole object (200), parts of it in the order they were asked for (206), or 416. */
export type RangeAnswer =
  | { readonly kind: 'full' }
  | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' };

/** What `Content-Range` says of a part; `size` is undefined where the sender wrote `*`. */
export interface ContentRange extends ByteRange {
  readonly size: number | undefined;
}

/** As many as a client of partially pulled layers (zstd:chunked) asks for in one request. */
const MAX_RANGES = 1024;
/** RFC 9110 section 14.2 names "more than two overlapping ranges" as a sign of an attack. */
const MAX_OVERLAPS = 2;

/**
 * Reads a Range header for an object of `size` bytes (RFC 9110 section 14.2).
 * An absent, malformed or excessive header gives the whole object, and so does any where the size is unknown.
 * Ranges are clipped to the object and never merged, as clients match the parts to what they asked for.
 */
export function parseRange(header: string | undefined, size: number | undefined): RangeAnswer {
  const specs = parseRangeSpecs(header);
  return specs === undefined || size === undefined ? { kind: 'full' } : resolveRanges(specs, size);
}

/**
 * Parses the `bytes=` ranges of a Range header, undefined where it is to be ignored: absent, of another unit,
 * against the grammar of RFC 9110 section 14.1.1, or of more than 1024 ranges.
 */
export function parseRangeSpecs(header: string | undefined): readonly RangeSpec[] | undefined {
  if (header === undefined) return undefined;
  const equals = header.indexOf('=');
  if (header.slice(0, equals).trim().toLowerCase() !== 'bytes') return undefined;
  const items = header
    .slice(equals + 1)
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0 || items.length > MAX_RANGES) return undefined;
  const specs = items.map(parseSpec).filter((spec) => spec !== undefined);
  return specs.length === items.length ? specs : undefined;
}

/**
 * Places parsed ranges in an object of `size` bytes. Ranges beyond its end are left out; with none left, or with
 * one whose end is before its start (RFC 9110 section 14.2 lets a server reject it), the answer is unsatisfiable.
 * More than two that overlap are answered by the whole object.
 */
export function resolveRanges(specs: readonly RangeSpec[], size: number): RangeAnswer {
  if (specs.some((spec) => spec.kind === 'from' && (spec.end ?? Infinity) < spec.start)) {
    return { kind: 'unsatisfiable' };
  }
  // A suffix of an empty object is satisfiable, yet no Content-Range can say so.
  if (size === 0 && specs.some((spec) => spec.kind === 'suffix' && spec.length > 0)) return { kind: 'full' };
  const ranges = specs.map((spec) => place(spec, size)).filter((range) => range !== undefined);
  if (ranges.length === 0) return { kind: 'unsatisfiable' };
  return overlaps(ranges) > MAX_OVERLAPS ? { kind: 'full' } : { kind: 'ranges', ranges };
}

/** The Content-Range of a 206 (RFC 9110 section 14.4). */
export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.start}-${range.end}/${size}`;
}

/** The Content-Range of a 416. */
export function unsatisfiedContentRange(size: number): string {
  return `bytes */${size}`;
}

/** The object's size by the Content-Range of a 416 (RFC 9110 section 15.5.17); undefined where it names none. */
export function parseUnsatisfied(header: string | undefined): number | undefined {
  const size = /^bytes +\*\/(\d{1,15})$/i.exec((header ?? '').trim())?.[1];
  return size === undefined ? undefined : Number(size);
}

/** Parses the Content-Range of upstream's 206; undefined where it names no valid part of an object. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = /^bytes +(\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec((header ?? '').trim());
  if (match === null) return undefined;
  const [, first, last, total] = match;
  const [start, end, size] = [Number(first), Number(last), total === '*' ? undefined : Number(total)];
  return start <= end && end < (size ?? Infinity) ? { start, end, size } : undefined;
}

/**
 * Whether a Range header is to be obeyed, given the If-Range beside it (RFC 9110 section 13.1.5): always without
 * one. The comparison is strong, and a date never matches, as an object has none.
 */
export function ifRangeMatches(header: string | undefined, etag: string): boolean {
  return header === undefined || (header.trim() === etag && !etag.startsWith('W/'));
}

/** What precedes the bytes of a part in a multipart/byteranges body (RFC 9110 section 14.6). */
export function multipartHeader(
  boundary: string,
  range: ByteRange,
  size: number,
  contentType: string,
): string {
  const lines = [
    `--${boundary}`,
    `Content-Type: ${contentType}`,
    `Content-Range: ${contentRange(range, size)}`,
  ];
  return `\r\n${lines.join('\r\n')}\r\n\r\n`;
}

/** What follows the last part of a multipart/byteranges body. */
export function closingDelimiter(boundary: string): string {
  return `\r\n--${boundary}--\r\n`;
}

/** The Content-Length in bytes of a multipart/byteranges body of these parts. */
export function multipartLength(
  boundary: string,
  ranges: readonly ByteRange[],
  size: number,
  contentType: string,
): number {
  const parts = ranges.map((range) => {
    const header = Buffer.byteLength(multipartHeader(boundary, range, size, contentType));
    return header + range.end - range.start + 1;
  });
  return parts.reduce((sum, part) => sum + part, Buffer.byteLength(closingDelimiter(boundary)));
}

function parseSpec(text: string): RangeSpec | undefined {
  const match = /^(\d*)-(\d*)$/.exec(text);
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? ''];
  if (first !== '')
    return { kind: 'from', start: offset(first), end: last === '' ? undefined : offset(last) };
  return last === '' ? undefined : { kind: 'suffix', length: offset(last) };
}

/** Beyond the safe integers every offset is past the end of any object. */
function offset(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}

function place(spec: RangeSpec, size: number): ByteRange | undefined {
  if (spec.kind === 'suffix') {
    return spec.length === 0 ? undefined : { start: Math.max(0, size - spec.length), end: size - 1 };
  }
  if (spec.start >= size) return undefined;
  return { start: spec.start, end: Math.min(spec.end ?? Infinity, size - 1) };
}

/** How many ranges begin inside one that begins before them. */
function overlaps(ranges: readonly ByteRange[]): number {
  let count = 0;
  let reached = -1;
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    if (range.start <= reached) count += 1;
    reached = Math.max(reached, range.end);
  }
  return count;
}
