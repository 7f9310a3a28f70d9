import { readFileSync, statSync } from 'node:fs';
import type { FileEntry } from './config-file.ts';
import type { Place } from './problem.ts';
import { unquote } from './quotes.ts';
import { flagOf, settingError, type Setting } from './setting.ts';

/** What reading the settings needs of the file system. */
export interface Files {
  isFolder(path: string): boolean;
  /** The text of a file; throws what the file system throws. */
  read(path: string): string;
}

export const DISK: Files = {
  isFolder: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
  read: (path) => readFileSync(path, 'utf8'),
};

/** The variables of a process, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What was given on the command line, by the settings' variables. */
export type FlagTexts = Readonly<Record<string, string>>;

/** What the settings are read from. */
export interface SettingSources {
  readonly flags: FlagTexts;
  readonly env: Environment;
  readonly files: Files;
  /** What the configuration file says, by the settings' places in it. */
  readonly entries: ReadonlyMap<string, FileEntry>;
}

/** What was written for a setting, and where; `text` is undefined where nothing was and there is no default. */
export interface SettingText {
  /** `secret-file` is the file that a variable such as `CA_KEY_PASSPHRASE_FILE` names. */
  readonly from: 'flag' | 'environment' | 'secret-file' | 'file' | 'default';
  /** The flag or variable that decided, e.g. an alias or `CA_KEY_PASSPHRASE_FILE`; otherwise the setting's own. */
  readonly variable: string;
  /** Where it stands in the configuration file. */
  readonly place?: Place;
  readonly text: string | undefined;
}

/**
 * Finds the text of a setting: a flag wins over the environment, that over the configuration file, and that over the
 * default. An empty variable counts as unset. Throws `SETTING_INVALID` for a secret's file.
 */
export function findSettingText(setting: Setting<unknown>, sources: SettingSources): SettingText {
  const { env, files, entries, flags } = sources;
  const flag = flagOf(setting);
  const given = flags[setting.env];
  if (flag !== undefined && given !== undefined) return { from: 'flag', variable: flag, text: given };
  const names = [setting.env, ...(setting.aliases ?? [])];
  const variable = names.find((name) => isSet(env[name]));
  const pointer =
    setting.secret === true
      ? names.map((name) => `${name}_FILE`).find((name) => isSet(env[name]))
      : undefined;
  if (pointer !== undefined) {
    if (variable !== undefined) {
      throw settingError(`${variable} and ${pointer} are both set`, 'Keep one of the two.');
    }
    const text = readNamedFile(unquote(env[pointer] ?? ''), pointer, files);
    return { from: 'secret-file', variable: pointer, text: text.replace(/\r?\n$/, '') };
  }
  if (variable !== undefined) {
    const text = env[variable] ?? '';
    // A secret may begin and end with a quote of its own; the list of credentials removes quotes itself.
    return { from: 'environment', variable, text: setting.secret === true ? text : unquote(text) };
  }
  const entry = entryOf(setting, entries);
  if (entry !== undefined)
    return { from: 'file', variable: setting.env, place: entry.place, text: entry.text };
  return { from: 'default', variable: setting.env, text: defaultText(setting, files) };
}

/** What the configuration file says of a setting. */
export function entryOf(
  { path }: Setting<unknown>,
  entries: ReadonlyMap<string, FileEntry>,
): FileEntry | undefined {
  return path === undefined ? undefined : entries.get(path);
}

/** The text of the file that a variable names. Throws `SETTING_INVALID`. */
export function readNamedFile(path: string, variable: string, files: Files): string {
  try {
    return files.read(path);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw settingError(
      `the file that ${variable} names cannot be read: ${reason}`,
      'Name a file that this user may read.',
    );
  }
}

function isSet(text: string | undefined): boolean {
  return text !== undefined && unquote(text) !== '';
}

function defaultText(setting: Setting<unknown>, files: Files): string | undefined {
  if (typeof setting.default !== 'object') return setting.default;
  return files.isFolder(setting.default.folder) ? setting.default.folder : setting.default.otherwise;
}
