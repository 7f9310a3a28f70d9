import { closestWord } from './closest-word.ts';
import type { Place, Problem } from './problem.ts';
import type { Setting } from './setting.ts';
import { SETTING_NAMES, SETTINGS } from './settings.ts';
import { keysMend, unknownKey, type StructurePath } from './structure.ts';
import {
  entriesOf,
  findReference,
  isBlank,
  nodeAt,
  parseYaml,
  plainValue,
  scalarText,
  type YamlEntry,
  type YamlNode,
  type YamlText,
} from './yaml-text.ts';

/** What the configuration file says of one setting. */
export interface FileEntry {
  readonly place: Place;
  /** What was written; of a list or mapping, what it would be in the environment. */
  readonly text: string;
  /** The value of a list or mapping; undefined for a scalar. */
  readonly structure: unknown;
  /** Where a part of the structure stands. */
  placeOf(at: StructurePath): Place;
}

/** The configuration file, read. */
export interface ConfigFile {
  /** By the setting's place in the file. */
  readonly entries: ReadonlyMap<string, FileEntry>;
  readonly problems: readonly Problem[];
}

const DECLARED: readonly Setting<unknown>[] = SETTING_NAMES.map((name) => SETTINGS[name]);
const BY_PATH: ReadonlyMap<string, Setting<unknown>> = new Map(
  DECLARED.flatMap((setting) => (setting.path === undefined ? [] : [[setting.path, setting]])),
);
const PATHS = [...BY_PATH.keys()];

/** What is gathered while the file is read. */
interface Reading {
  readonly yaml: YamlText;
  readonly entries: Map<string, FileEntry>;
  readonly problems: Problem[];
}

/** Reads the YAML of a configuration file; what is wrong with it is told, never thrown. */
export function readConfigFile(file: string, text: string): ConfigFile {
  const yaml = parseYaml(file, text);
  const reading = { yaml, entries: new Map<string, FileEntry>(), problems: [...yaml.problems] };
  if (yaml.readable) readSection(reading, yaml.root, '');
  return reading;
}

/** Reads a mapping whose keys are settings and sections; `prefix` is the way to it, with a dot at its end. */
function readSection(reading: Reading, node: YamlNode, prefix: string): void {
  if (node === null || isBlank(node)) return;
  const known = keysBelow(prefix);
  const members = entriesOf(node);
  if (members === undefined) {
    reading.problems.push({
      subject: prefix === '' ? undefined : prefix.slice(0, -1),
      place: reading.yaml.placeOf(node),
      reason: 'it is not a mapping',
      mend: `Write the keys ${known.join(', ')}, each with a colon and its value.`,
    });
    return;
  }
  for (const member of members) {
    const path = prefix + member.name;
    const setting = BY_PATH.get(path);
    // A whole path as one key is no place: it would be a second one for the same setting.
    if (!known.includes(member.name)) reading.problems.push(unknownPath(reading.yaml, path, member, known));
    else if (setting === undefined) readSection(reading, member.value, `${path}.`);
    else readSetting(reading, setting, path, member);
  }
}

function readSetting(
  { yaml, entries, problems }: Reading,
  setting: Setting<unknown>,
  path: string,
  { key, value }: YamlEntry,
): void {
  const place = yaml.placeOf(key);
  const reference = findReference(value);
  if (reference !== undefined) {
    problems.push({
      subject: path,
      place: yaml.placeOf(reference),
      reason: 'anchors (&) and aliases (*) of YAML are not read',
      mend: 'Write the value out, or put quotes around it if it is text.',
    });
    return;
  }
  // A key that stands twice is told by the parser already.
  if (isBlank(value) || entries.has(path)) return;
  const text = scalarText(value);
  if (text === undefined && setting.parseStructure === undefined) {
    const reason = 'it is a list or a mapping';
    problems.push({ subject: path, place, reason, mend: 'Write one value behind the colon.' });
    return;
  }
  const structure = text === undefined ? plainValue(value) : undefined;
  entries.set(path, {
    place,
    text: text ?? structureText(structure),
    structure,
    placeOf: (at) => (at.length === 0 ? place : yaml.placeOf(nodeAt(value, at) ?? key)),
  });
}

/** A list of words as the environment has it, anything else as JSON. */
function structureText(value: unknown): string {
  const words = Array.isArray(value) && value.every((item) => typeof item === 'string');
  return words && value.length > 0 ? value.join(' ') : JSON.stringify(value);
}

function keysBelow(prefix: string): readonly string[] {
  const below = PATHS.filter((path) => path.startsWith(prefix));
  return [...new Set(below.map((path) => path.slice(prefix.length).split('.')[0] ?? ''))];
}

function unknownPath(
  yaml: YamlText,
  path: string,
  { key, name }: YamlEntry,
  known: readonly string[],
): Problem {
  const elsewhere = placeOfName(name);
  const reason =
    elsewhere === undefined || closestWord(name, known) !== undefined
      ? unknownKey(name, known)
      : `${unknownKey(name, [])}; did you mean ${elsewhere}?`;
  return { subject: path, place: yaml.placeOf(key), reason, mend: keysMend(known) };
}

/** The place of a setting that was called by its variable, or by the last part of its place alone. */
function placeOfName(name: string): string | undefined {
  if (name === SETTINGS.configFile.env) return undefined;
  const named = DECLARED.find(({ env, aliases = [] }) => env === name || aliases.includes(name));
  if (named !== undefined) return named.path;
  const sameEnd = PATHS.filter((path) => path === name || path.endsWith(`.${name}`));
  return sameEnd.length === 1 ? sameEnd[0] : undefined;
}
