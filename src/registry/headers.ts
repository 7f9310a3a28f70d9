/** Headers by name as Node's parsed form has them; a list is a header that came several times. */
export type HeaderFields = Readonly<Record<string, string | string[] | undefined>>;

/** RFC 9110 section 7.6.1, with what RFC 7540 section 3.2.1 adds; `proxy-…` is apart. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The headers that go on to the next hop, of a request or of an answer (RFC 9110 section 7.6.1).
 * Left out are the hop-by-hop ones, all that `Connection` lists, and everything meant for a proxy alone,
 * `Proxy-Authorization` first of all. Order, case and repetition stay.
 * @param headers name, value, name, value … as Node's `rawHeaders` are, or fields by name.
 */
export function endToEndHeaders(headers: readonly string[]): string[];
export function endToEndHeaders(headers: HeaderFields): HeaderFields;
export function endToEndHeaders(headers: readonly string[] | HeaderFields): string[] | HeaderFields {
  if (isRaw(headers)) {
    const pairs = [...headerPairs(headers)];
    const isKept = keeper(pairs.flatMap(([name, value]) => (isConnection(name) ? value : [])));
    return pairs.filter(([name]) => isKept(name)).flat();
  }
  const fields = Object.entries(headers);
  const isKept = keeper(fields.flatMap(([name, value]) => (isConnection(name) ? (value ?? []) : [])));
  return Object.fromEntries(fields.filter(([name]) => isKept(name)));
}

/** The names and values of raw headers, two by two. */
export function* headerPairs(raw: readonly string[]): Generator<readonly [string, string]> {
  for (let at = 0; at + 1 < raw.length; at += 2) yield [raw[at] ?? '', raw[at + 1] ?? ''];
}

/** Decides by name, given the values of `Connection`. */
function keeper(connection: readonly string[]): (name: string) => boolean {
  const listed = new Set(
    connection
      .join(',')
      .split(',')
      .map((name) => name.trim().toLowerCase()),
  );
  return (name) => {
    const lower = name.toLowerCase();
    return !HOP_BY_HOP.has(lower) && !lower.startsWith('proxy-') && !listed.has(lower);
  };
}

function isConnection(name: string): boolean {
  return name.toLowerCase() === 'connection';
}

function isRaw(headers: readonly string[] | HeaderFields): headers is readonly string[] {
  return Array.isArray(headers);
}

/** The headers of these names that are there, their values as they are. */
export function pickHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  names: readonly string[],
): Record<string, string | string[]> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
