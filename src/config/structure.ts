import * as v from 'valibot';
import { asBreakwaterError, BreakwaterError } from '../registry/errors.ts';
import { closestWord } from './closest-word.ts';

/** Keys and positions that lead to a part of a structured value. */
export type StructurePath = readonly (string | number)[];

/** One thing that is wrong inside a structured value; it must not quote a secret. */
export interface StructureFault {
  readonly at: StructurePath;
  readonly reason: string;
  readonly mend: string;
}

/** A structured setting that cannot be used: every fault in it, and where. */
export class StructureError extends BreakwaterError {
  readonly faults: readonly StructureFault[];

  constructor(faults: readonly StructureFault[]) {
    const reason = faults.map((fault) => fault.reason).join('; ');
    super('SETTING_INVALID', reason, { mend: faults[0]?.mend ?? '' });
    this.faults = faults;
  }
}

/** How a list is read: what an entry holds, and what people call one. */
export interface ListShape<Entries extends v.ObjectEntries> {
  readonly entries: Entries;
  /** E.g. `rule`: the third is then called "rule 3". */
  readonly noun: string;
}

/** What stands between reason and mend in the one text that an issue of valibot has. */
const BETWEEN = '\n';

/** Reads a list of mappings; throws one `StructureError` that lists every fault. */
export function readList<const Entries extends v.ObjectEntries>(
  value: unknown,
  { entries, noun }: ListShape<Entries>,
): readonly v.InferOutput<v.ObjectSchema<Entries, undefined>>[] {
  const known = Object.keys(entries);
  const schema = v.object(entries, (issue) => objectMessage(issue, known));
  const list: v.InferOutput<typeof schema>[] = [];
  const faults: StructureFault[] = [];
  for (const [index, entry] of itemsOf(value, noun).entries()) {
    const place = `${noun} ${index + 1}`;
    faults.push(...unknownKeys(entry, known, index, place));
    const result = v.safeParse(schema, entry);
    if (result.success) list.push(result.output);
    else faults.push(...result.issues.map((issue) => faultOf(issue, index, place)));
  }
  if (faults.length > 0) throw new StructureError(faults);
  return list;
}

/** Reads a list of words, each with a parser; throws one `StructureError` that lists every fault. */
export function readWords<Value>(
  value: unknown,
  noun: string,
  parse: (text: string) => Value,
): readonly Value[] {
  const schema = parsed(parse);
  const faults: StructureFault[] = [];
  const list: Value[] = [];
  for (const [index, item] of itemsOf(value, noun).entries()) {
    const result = v.safeParse(schema, item);
    if (result.success) list.push(result.output);
    else faults.push(...result.issues.map((issue) => faultOf(issue, index, `${noun} ${index + 1}`)));
  }
  if (faults.length > 0) throw new StructureError(faults);
  return list;
}

function itemsOf(value: unknown, noun: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new StructureError([{ at: [], reason: 'it is not a list', mend: `Write a list, one ${noun} each.` }]);
}

/** Text, or a number as it would be written. */
const word = v.pipe(
  v.union([v.string(), v.number()], `it is not text${BETWEEN}Write text.`),
  v.transform(String),
);

/** What a setting's parser makes of text or a number. */
export function parsed<Value>(parse: (text: string) => Value) {
  return v.pipe(word, parsing(parse));
}

/** What a parser makes of words: one text that white space or commas divide, or a list of texts. */
export function parsedWords<Value>(parse: (words: readonly string[]) => Value) {
  return v.pipe(
    v.union(
      [v.string(), v.array(v.string())],
      `it is neither text nor a list of texts${BETWEEN}Write one, or a list of them.`,
    ),
    v.transform((given) => [given].flat().join(' ')),
    parsing((text: string) => parse(text.split(/[\s,]+/).filter((item) => item !== ''))),
  );
}

function parsing<Value>(parse: (text: string) => Value) {
  return v.rawTransform<string, Value>(({ dataset, addIssue, NEVER }) => {
    try {
      return parse(dataset.value);
    } catch (thrown) {
      const { message, mend = '' } = asBreakwaterError(thrown);
      addIssue({ message: message + BETWEEN + mend });
      return NEVER;
    }
  });
}

/** True or false; as a word too, which is how the configuration file hands it on. */
export const flag = v.pipe(
  v.union(
    [v.boolean(), v.picklist(['true', 'false'])],
    `it is neither true nor false${BETWEEN}Write true or false.`,
  ),
  v.transform((value) => value === true || value === 'true'),
);

function faultOf(issue: v.BaseIssue<unknown>, index: number, place: string): StructureFault {
  const keys = (issue.path ?? []).map(({ key }) => String(key));
  const [reason = '', mend = ''] = issue.message.split(BETWEEN);
  return { at: [index, ...keys], reason: [place, ...keys, reason].join(': '), mend };
}

function objectMessage({ expected, received }: v.ObjectIssue, known: readonly string[]): string {
  const missing = received === 'undefined' && expected !== 'Object';
  return `${missing ? 'it is missing' : 'it is not a mapping'}${BETWEEN}Write the keys ${known.join(', ')}.`;
}

function unknownKeys(
  entry: unknown,
  known: readonly string[],
  index: number,
  place: string,
): readonly StructureFault[] {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return [];
  return Object.keys(entry)
    .filter((key) => !known.includes(key))
    .map((key) => ({
      at: [index, key],
      reason: `${place}: ${unknownKey(key, known)}`,
      mend: keysMend(known),
    }));
}

/** What is said of a key that is not known. */
export function unknownKey(key: string, known: readonly string[]): string {
  const meant = closestWord(key, known);
  return `the key ${JSON.stringify(key)} is not known${meant === undefined ? '' : `; did you mean ${meant}?`}`;
}

export function keysMend(known: readonly string[]): string {
  return `Write one of ${known.join(', ')}.`;
}
