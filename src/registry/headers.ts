/** Headers that end at each hop (RFC 9110, 7.6.1), and what is meant for a proxy alone. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The headers that go on to the next hop, order and repetition kept.
 * @param raw name, value, name, value … as Node gives them.
 */
export function endToEndHeaders(raw: readonly string[]): string[] {
  const listed = new Set<string>();
  for (const [name, value] of headerPairs(raw)) {
    if (name.toLowerCase() === 'connection')
      for (const token of value.split(',')) listed.add(token.trim().toLowerCase());
  }
  const kept: string[] = [];
  for (const [name, value] of headerPairs(raw)) {
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && !listed.has(lower)) kept.push(name, value);
  }
  return kept;
}

/** The names and values of raw headers, two by two. */
export function* headerPairs(raw: readonly string[]): Generator<readonly [string, string]> {
  for (let at = 0; at + 1 < raw.length; at += 2) yield [raw[at] ?? '', raw[at + 1] ?? ''];
}
