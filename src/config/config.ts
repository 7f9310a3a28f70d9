import { asBreakwaterError } from '../registry/errors.ts';
import { deepFreeze } from './freeze.ts';
import { problemsError, type Problem } from './problem.ts';
import { DISK, findSettingText, type Environment, type Files, type SettingText } from './setting-text.ts';
import { SETTING_NAMES, SETTINGS, type SettingName } from './settings.ts';
import type { Setting, ValueOf } from './setting.ts';

/** The settings in force: frozen, sizes in bytes, times in milliseconds. */
export type Config = { readonly [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> };

/** Where the value of a setting came from; `text` is what was written, `[redacted]` for a secret. */
export type SettingSource = SettingText;

/** The settings in force, and where each came from. */
export interface LoadedConfig {
  readonly config: Config;
  readonly sources: Readonly<Record<SettingName, SettingSource>>;
}

const REDACTED = '[redacted]';

/**
 * Reads every setting from the environment; the result is frozen through and through.
 * Throws one `SETTING_INVALID` that lists all problems; variables that are no setting are ignored.
 */
export function loadConfig(env: Environment, files: Files = DISK): LoadedConfig {
  const problems: Problem[] = [];
  const values: Record<string, unknown> = {};
  const sources: Partial<Record<SettingName, SettingSource>> = {};
  const textOf = (variable: string): string => textOfVariable(variable, env, files);
  for (const name of SETTING_NAMES) {
    const setting: Setting<unknown> = SETTINGS[name];
    let source: SettingSource | undefined;
    try {
      const found = findSettingText(setting, env, files);
      source = shown(setting, found);
      values[name] = found.text === undefined ? undefined : setting.parse(found.text, textOf);
      sources[name] = source;
    } catch (thrown) {
      problems.push(problemOf(thrown, setting, source));
    }
  }
  problems.push(...contradictions(values));
  if (problems.length > 0 || !isConfig(values) || !isSources(sources)) throw problemsError(problems);
  return deepFreeze({ config: values, sources });
}

function shown(setting: Setting<unknown>, found: SettingText): SettingSource {
  return setting.secret === true && found.from !== 'default' ? { ...found, text: REDACTED } : found;
}

function textOfVariable(variable: string, env: Environment, files: Files): string {
  const setting = SETTING_NAMES.map((name) => SETTINGS[name]).find((candidate) => candidate.env === variable);
  return setting === undefined ? '' : (findSettingText(setting, env, files).text ?? '');
}

function problemOf(thrown: unknown, setting: Setting<unknown>, source: SettingSource | undefined): Problem {
  const error = asBreakwaterError(thrown);
  const mend = error.mend ?? `See ${setting.env} in docs/reference/configuration.md.`;
  return { variable: source?.variable ?? setting.env, value: source?.text, reason: error.message, mend };
}

/** Settings that are well-formed one by one and make no sense together. */
function contradictions(values: Readonly<Record<string, unknown>>): readonly Problem[] {
  const pairs = [
    ['caCrtFile', 'caKeyFile'],
    ['caKeyFile', 'caCrtFile'],
  ] as const satisfies readonly (readonly [SettingName, SettingName])[];
  return pairs
    .filter(
      ([given, missing]) => values[given] !== undefined && missing in values && values[missing] === undefined,
    )
    .map(([given, missing]) => ({
      variable: SETTINGS[given].env,
      value: String(values[given]),
      reason: `${SETTINGS[missing].env} is not set`,
      mend: `Set ${SETTINGS[missing].env} too: a certificate and its key belong together.`,
    }));
}

function isConfig(values: Record<string, unknown>): values is Config {
  return SETTING_NAMES.every((name) => name in values);
}

function isSources(
  sources: Partial<Record<SettingName, SettingSource>>,
): sources is Record<SettingName, SettingSource> {
  return SETTING_NAMES.every((name) => name in sources);
}
