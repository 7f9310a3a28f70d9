import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type ParsedNode,
  type YAMLError,
} from 'yaml';
import type { Place, Problem } from './problem.ts';
import type { StructurePath } from './structure.ts';

/** A node of the file; null where nothing was written. */
export type YamlNode = ParsedNode | null;

/** A YAML file as its nodes, which know where they stand. */
export interface YamlText {
  readonly root: YamlNode;
  /** What is wrong with the text itself. */
  readonly problems: readonly Problem[];
  /** False where the text is no YAML at all, and its nodes are not to be read. */
  readonly readable: boolean;
  placeOf(node: { readonly range?: readonly number[] | null }): Place;
}

/** An entry of a mapping. */
export interface YamlEntry {
  readonly key: ParsedNode;
  readonly name: string;
  readonly value: YamlNode;
}

const QUOTES = 'Put quotes around the value if it is text.';

/** Every scalar stays the text it was written as: a tag `3.10` is no number. */
export function parseYaml(file: string, text: string): YamlText {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    schema: 'failsafe',
    stringKeys: true,
    prettyErrors: false,
  });
  const placeAt = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset);
    return { file, line, column: col };
  };
  const problems = new Map<number, Problem>();
  for (const error of [...document.errors, ...document.warnings]) {
    const place = placeAt(error.pos[0]);
    // One slip brings more errors behind it; the first of a line is the one that helps.
    if (!problems.has(place.line))
      problems.set(place.line, { subject: undefined, place, ...describe(error) });
  }
  return {
    root: document.contents,
    problems: [...problems.values()],
    readable: document.errors.every(({ code }) => code === 'DUPLICATE_KEY'),
    placeOf: (node) => placeAt(node.range?.[0] ?? 0),
  };
}

/** The library's own words, without what they quote of the file: it may be a password. */
function describe({ code, message }: YAMLError): Pick<Problem, 'reason' | 'mend'> {
  if (code === 'DUPLICATE_KEY') {
    return { reason: 'the key stands twice in one mapping', mend: 'Keep one of the two.' };
  }
  if (code === 'TAG_RESOLVE_FAILED') return { reason: 'a tag of YAML begins with "!"', mend: QUOTES };
  if (code === 'BAD_ALIAS') return { reason: 'an alias of YAML begins with "*"', mend: QUOTES };
  if (code === 'BAD_SCALAR_START') return { reason: message, mend: QUOTES };
  if (code === 'MULTIPLE_DOCS') {
    return { reason: 'the file holds more than one document', mend: 'Remove all after the second "---".' };
  }
  const reason = code === 'BAD_DQ_ESCAPE' ? 'an unknown escape sequence' : message.replace(/: .*$/s, '');
  return { reason: `it is not YAML: ${reason}`, mend: 'Correct the indentation, brackets or quotes there.' };
}

/** The entries of a mapping; undefined where the node is none. */
export function entriesOf(node: YamlNode): readonly YamlEntry[] | undefined {
  if (!isMap<ParsedNode, YamlNode>(node)) return undefined;
  return node.items.map(({ key, value }) => ({
    key,
    name: isScalar(key) ? String(key.value) : '',
    value,
  }));
}

/** Whether nothing was written: no value, or one of the words for none, without quotes. */
export function isBlank(node: YamlNode): boolean {
  return (
    node === null ||
    (isScalar(node) && node.type === 'PLAIN' && ['', '~', 'null'].includes(String(node.value)))
  );
}

/** The text of a scalar; undefined where the node is none. */
export function scalarText(node: YamlNode): string | undefined {
  return isScalar(node) ? String(node.value) : undefined;
}

/** The value of a node, scalars as text; keys without a value are left out. */
export function plainValue(node: YamlNode): unknown {
  if (isSeq<YamlNode>(node)) return node.items.map(plainValue);
  const entries = entriesOf(node);
  if (entries === undefined) return isBlank(node) ? null : scalarText(node);
  const given = entries.filter(({ value }) => !isBlank(value));
  return Object.fromEntries(given.map(({ name, value }) => [name, plainValue(value)]));
}

/** The key or list entry that a path leads to; the last one met where the path goes on below it. */
export function nodeAt(node: YamlNode, path: StructurePath): YamlNode {
  const [step, ...rest] = path;
  if (typeof step === 'number' && isSeq<YamlNode>(node)) {
    const item = node.items[step] ?? node;
    return rest.length === 0 ? item : (nodeAt(item, rest) ?? item);
  }
  const entry = entriesOf(node)?.find(({ name }) => name === step);
  if (entry === undefined) return node;
  return rest.length === 0 ? entry.key : nodeAt(entry.value, rest);
}

/** The first anchor or alias in a node: they are not read, and a password may begin as one does. */
export function findReference(node: YamlNode): ParsedNode | undefined {
  if (node === null) return undefined;
  if (isAlias(node) || node.anchor !== undefined) return node;
  const inner = isSeq<YamlNode>(node) ? node.items : (entriesOf(node)?.map(({ value }) => value) ?? []);
  return inner.map(findReference).find((found) => found !== undefined);
}
