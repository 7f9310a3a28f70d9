/** A part of a multipart/byteranges body (RFC 9110, 14.6). */
export interface Part {
  readonly type: string;
  /** The value of its Content-Range. */
  readonly range: string;
  readonly bytes: Buffer;
}

/** Takes a multipart/byteranges body apart by its boundary. */
export function parseMultipart(contentType: string | undefined, body: Buffer): Part[] {
  const [, boundary = ''] = /^multipart\/byteranges; boundary="?([^"]+)"?$/.exec(contentType ?? '') ?? [];
  if (boundary === '') throw new Error(`not a multipart/byteranges body: ${contentType}`);
  const text = body.toString('latin1');
  const pieces = text.split(`\r\n--${boundary}`);
  if (pieces.at(-1)?.trim() !== '--') throw new Error('the closing delimiter is missing');
  return pieces.slice(1, -1).map((piece) => {
    const end = piece.indexOf('\r\n\r\n');
    const head = piece.slice(0, end);
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1]?.trim() ?? '';
    return {
      type: field('content-type'),
      range: field('content-range'),
      bytes: Buffer.from(piece.slice(end + 4), 'latin1'),
    };
  });
}
