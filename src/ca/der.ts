/* Writes and reads DER (ITU-T X.690), as much of it as the certificates made here need. */

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag numbers of context-specific elements: X.509 marks its optional fields with them. */
const CONTEXT_PRIMITIVE = 0x80;
const CONTEXT_CONSTRUCTED = 0xa0;

export const DER_TRUE = element(TAG.boolean, Buffer.of(0xff));
export const DER_NULL = element(0x05, Buffer.alloc(0));

/** One element as it was read; `whole` includes tag and length, `content` does not. */
interface DerElement {
  readonly tag: number;
  readonly whole: Buffer;
  readonly content: Buffer;
}

export function derSequence(...parts: readonly Buffer[]): Buffer {
  return element(TAG.sequence, ...parts);
}

export function derSet(...parts: readonly Buffer[]): Buffer {
  return element(TAG.set, ...parts);
}

export function derOctets(content: Buffer): Buffer {
  return element(TAG.octetString, content);
}

export function derUtf8(text: string): Buffer {
  return element(TAG.utf8String, Buffer.from(text, 'utf8'));
}

/** A field marked `[number]` that holds other elements. */
export function derTagged(number: number, ...parts: readonly Buffer[]): Buffer {
  return element(CONTEXT_CONSTRUCTED | number, ...parts);
}

/** A field marked `[number] IMPLICIT` that holds bytes. */
export function derTaggedBytes(number: number, content: Buffer): Buffer {
  return element(CONTEXT_PRIMITIVE | number, content);
}

/** A non-negative integer from its big-endian bytes: the shortest form, and never read as negative. */
export function derInteger(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const shortest = first === -1 ? Buffer.of(0) : bytes.subarray(first);
  const negative = ((shortest[0] ?? 0) & 0x80) !== 0;
  return negative ? element(TAG.integer, Buffer.of(0), shortest) : element(TAG.integer, shortest);
}

/** A bit string; `unused` bits at the end of the last byte do not count. */
export function derBits(content: Buffer, unused = 0): Buffer {
  return element(TAG.bitString, Buffer.of(unused), content);
}

/** An object identifier from its dotted form. */
export function derOid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(TAG.oid, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** A point in time to the second: two-digit years until 2049, four-digit ones after (RFC 5280, 4.1.2.5). */
export function derTime(time: Date): Buffer {
  const digits = time.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return time.getUTCFullYear() < 2050
    ? element(TAG.utcTime, Buffer.from(digits.slice(2), 'latin1'))
    : element(TAG.generalizedTime, Buffer.from(digits, 'latin1'));
}

/** The elements that follow one another in `bytes`. @throws RangeError where they do not fill it exactly. */
export function readDer(bytes: Buffer): readonly DerElement[] {
  const elements: DerElement[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const read = readElement(bytes, offset);
    elements.push(read);
    offset += read.whole.length;
  }
  return elements;
}

function readElement(bytes: Buffer, offset: number): DerElement {
  const short = bytes.readUInt8(offset + 1);
  const lengthBytes = short < 0x80 ? 0 : short & 0x7f;
  const start = offset + 2 + lengthBytes;
  const length = lengthBytes === 0 ? short : bytes.readUIntBE(offset + 2, lengthBytes);
  if (start + length > bytes.length) throw new RangeError('A DER element is longer than what holds it.');
  return {
    tag: bytes.readUInt8(offset),
    whole: bytes.subarray(offset, start + length),
    content: bytes.subarray(start, start + length),
  };
}

function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag), lengthOf(content), content]);
}

function lengthOf(content: Buffer): Buffer {
  if (content.length < 0x80) return Buffer.of(content.length);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(content.length);
  const shortest = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.of(0x80 | shortest.length), shortest]);
}

/** Seven bits a byte, the high bit set on all but the last. */
function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}
