import { asBreakwaterError } from '../registry/errors.ts';
import { readConfigFile, type ConfigFile } from './config-file.ts';
import { deepFreeze } from './freeze.ts';
import { problemsError, type Problem } from './problem.ts';
import { Secret } from './secret.ts';
import {
  DISK,
  entryOf,
  findSettingText,
  readNamedFile,
  type Environment,
  type Files,
  type FlagTexts,
  type SettingSources,
  type SettingText,
} from './setting-text.ts';
import { SETTING_NAMES, SETTINGS, type SettingName } from './settings.ts';
import type { Setting, ValueOf } from './setting.ts';
import { StructureError } from './structure.ts';
import { withoutUserinfo } from './userinfo.ts';

/** The settings in force: frozen, sizes in bytes, times in milliseconds. */
export type Config = { readonly [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> };

/** Where the value of a setting came from; `text` is what was written, `[redacted]` for a secret. */
export type SettingSource = SettingText;

/** The settings in force, and where each came from. */
export interface LoadedConfig {
  readonly config: Config;
  readonly sources: Readonly<Record<SettingName, SettingSource>>;
  /** What was written, secrets too, to be compared with what is read later. */
  readonly texts: Readonly<Record<SettingName, Secret>>;
}

const REDACTED = '[redacted]';

const NO_FLAGS: FlagTexts = {};

/**
 * Reads every setting from the command line, the environment and the file that `CONFIG_FILE` names; the result is frozen through and
 * through. Throws one `SETTING_INVALID` that lists all problems; variables that are no setting are ignored.
 */
export function loadConfig(env: Environment, files: Files = DISK, flags: FlagTexts = NO_FLAGS): LoadedConfig {
  const file = openConfigFile({ env, files, flags, entries: new Map() });
  const problems: Problem[] = [...file.problems];
  const from: SettingSources = { env, files, flags, entries: file.entries };
  const values: Record<string, unknown> = {};
  const sources: Partial<Record<SettingName, SettingSource>> = {};
  const texts: Partial<Record<SettingName, Secret>> = {};
  for (const name of SETTING_NAMES) {
    const setting: Setting<unknown> = SETTINGS[name];
    let source: SettingSource | undefined;
    try {
      const found = findSettingText(setting, from);
      source = shown(setting, found);
      texts[name] = new Secret(found.text ?? '');
      values[name] = valueOf(setting, found, from);
      sources[name] = source;
    } catch (thrown) {
      problems.push(...problemsOf(thrown, setting, source, from));
    }
  }
  // What a broken file says is not known, so neither is what it contradicts.
  if (file.problems.length === 0) problems.push(...contradictions(values, sources));
  if (problems.length > 0 || !isConfig(values) || !isWhole(sources) || !isWhole(texts))
    throw problemsError(inOrder(problems));
  return deepFreeze({ config: values, sources, texts });
}

/** What stands in the file in the file's order, then the rest. */
function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const line = ({ place }: Problem): number => place?.line ?? Number.MAX_SAFE_INTEGER;
  return problems.toSorted((a, b) => line(a) - line(b));
}

function openConfigFile(sources: SettingSources): ConfigFile {
  const setting: Setting<unknown> = SETTINGS.configFile;
  const { text = '', variable } = findSettingText(setting, sources);
  const path = text.trim();
  if (path === '') return { entries: new Map(), problems: [] };
  try {
    return readConfigFile(path, readNamedFile(path, variable, sources.files));
  } catch (thrown) {
    const { message, mend = '' } = asBreakwaterError(thrown);
    return {
      entries: new Map(),
      problems: [{ subject: variable, value: path, reason: message, mend }],
    };
  }
}

function valueOf(setting: Setting<unknown>, { from, text }: SettingText, sources: SettingSources): unknown {
  const structure = from === 'file' ? entryOf(setting, sources.entries)?.structure : undefined;
  if (structure !== undefined && setting.parseStructure !== undefined)
    return setting.parseStructure(structure);
  return text === undefined ? undefined : setting.parse(text, (env) => textOfVariable(env, sources));
}

function shown(setting: Setting<unknown>, found: SettingText): SettingSource {
  if (setting.secret === true && found.from !== 'default') return { ...found, text: REDACTED };
  return found.text === undefined ? found : { ...found, text: withoutUserinfo(found.text) };
}

function textOfVariable(variable: string, sources: SettingSources): string {
  const setting = SETTING_NAMES.map((name) => SETTINGS[name]).find((candidate) => candidate.env === variable);
  return setting === undefined ? '' : (findSettingText(setting, sources).text ?? '');
}

/** One problem for each fault of a structure, where it stands; otherwise one. */
function problemsOf(
  thrown: unknown,
  setting: Setting<unknown>,
  source: SettingSource | undefined,
  { entries }: SettingSources,
): readonly Problem[] {
  if (thrown instanceof StructureError) {
    const entry = source?.from === 'file' ? entryOf(setting, entries) : undefined;
    return thrown.faults.map(({ at, reason, mend }) =>
      entry === undefined
        ? problemAt(setting, source, reason, mend)
        : { subject: setting.path, place: entry.placeOf(at), reason, mend },
    );
  }
  const error = asBreakwaterError(thrown);
  const mend = error.mend ?? `See ${setting.env} in docs/reference/configuration.md.`;
  return [problemAt(setting, source, error.message, mend)];
}

function problemAt(
  setting: Setting<unknown>,
  source: SettingSource | undefined,
  reason: string,
  mend: string,
): Problem {
  const subject = source?.from === 'file' ? setting.path : (source?.variable ?? setting.env);
  return { subject, value: source?.text, place: source?.place, reason, mend };
}

const PAIR = 'a certificate and its key belong together';
const NO_LISTENER = 'it is of the listener for TLS';

/** Settings that mean nothing without another. */
const TOGETHER: readonly { given: SettingName; missing: SettingName; why: string }[] = [
  { given: 'caCrtFile', missing: 'caKeyFile', why: PAIR },
  { given: 'caKeyFile', missing: 'caCrtFile', why: PAIR },
  { given: 'listenTls', missing: 'listenTlsCertFile', why: 'TLS needs a certificate' },
  { given: 'listenTls', missing: 'listenTlsKeyFile', why: 'TLS needs the key of its certificate' },
  { given: 'listenTlsCertFile', missing: 'listenTls', why: NO_LISTENER },
  { given: 'listenTlsKeyFile', missing: 'listenTls', why: NO_LISTENER },
  { given: 'listenTlsClientCaFile', missing: 'listenTls', why: NO_LISTENER },
];

/** Settings that are well-formed one by one and make no sense together. */
function contradictions(
  values: Readonly<Record<string, unknown>>,
  sources: Partial<Record<SettingName, SettingSource>>,
): readonly Problem[] {
  return TOGETHER.filter(
    ({ given, missing }) => values[given] !== undefined && missing in values && values[missing] === undefined,
  ).map(({ given, missing, why }) => {
    const { env } = SETTINGS[missing];
    return problemAt(SETTINGS[given], sources[given], `${env} is not set`, `Set ${env} too: ${why}.`);
  });
}

function isConfig(values: Record<string, unknown>): values is Config {
  return SETTING_NAMES.every((name) => name in values);
}

function isWhole<Value>(byName: Partial<Record<SettingName, Value>>): byName is Record<SettingName, Value> {
  return SETTING_NAMES.every((name) => name in byName);
}
