/** A folder (the name ends in a slash), a file with its body, or a symbolic link. */
export interface TarEntry {
  readonly name: string;
  readonly mode: number;
  readonly size?: number;
  readonly body?: Iterable<Buffer>;
  readonly link?: string;
}

const BLOCK = 512;

/** The bytes of a ustar archive, owned by root and dated 1970, so that the same entries give the same bytes. */
export function* tar(entries: Iterable<TarEntry>): Generator<Buffer> {
  for (const entry of entries) {
    yield header(entry);
    yield* entry.body ?? [];
    const rest = (entry.size ?? 0) % BLOCK;
    if (rest > 0) yield Buffer.alloc(BLOCK - rest);
  }
  yield Buffer.alloc(2 * BLOCK);
}

function header(entry: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  };
  block.write(entry.name, 0, 100, 'utf8');
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.size ?? 0, 124, 12);
  octal(0, 136, 12);
  block.write(typeOf(entry), 156, 'latin1');
  block.write(entry.link ?? '', 157, 100, 'utf8');
  block.write('ustar\x0000', 257, 'latin1');
  // The checksum counts its own field as spaces.
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function typeOf(entry: TarEntry): string {
  if (entry.link !== undefined) return '2';
  return entry.name.endsWith('/') ? '5' : '0';
}
