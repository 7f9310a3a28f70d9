import { readFileSync, statSync } from 'node:fs';
import { unquote } from './quotes.ts';
import { settingError, type Setting } from './setting.ts';

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

/** What was written for a setting, and where; `text` is undefined where nothing was and there is no default. */
export interface SettingText {
  readonly from: 'environment' | 'file' | 'default';
  /** The variable that decided, e.g. an alias or `CA_KEY_PASSPHRASE_FILE`; for a default the setting's own. */
  readonly variable: string;
  readonly text: string | undefined;
}

/** Finds the text of a setting; an empty variable counts as unset. Throws `SETTING_INVALID` for a secret's file. */
export function findSettingText(setting: Setting<unknown>, env: Environment, files: Files): SettingText {
  const names = [setting.env, ...(setting.aliases ?? [])];
  const variable = names.find((name) => isSet(env[name]));
  if (setting.secret === true) {
    const pointer = names.map((name) => `${name}_FILE`).find((name) => isSet(env[name]));
    if (pointer !== undefined) {
      if (variable !== undefined) {
        throw settingError(`${variable} and ${pointer} are both set`, 'Keep one of the two.');
      }
      return {
        from: 'file',
        variable: pointer,
        text: readSecret(unquote(env[pointer] ?? ''), pointer, files),
      };
    }
  }
  if (variable === undefined)
    return { from: 'default', variable: setting.env, text: defaultText(setting, files) };
  const text = env[variable] ?? '';
  // A secret may begin and end with a quote of its own; the list of credentials removes quotes itself.
  return { from: 'environment', variable, text: setting.secret === true ? text : unquote(text) };
}

function isSet(text: string | undefined): boolean {
  return text !== undefined && unquote(text) !== '';
}

function defaultText(setting: Setting<unknown>, files: Files): string | undefined {
  if (typeof setting.default !== 'object') return setting.default;
  return files.isFolder(setting.default.folder) ? setting.default.folder : setting.default.otherwise;
}

function readSecret(path: string, pointer: string, files: Files): string {
  try {
    return files.read(path).replace(/\r?\n$/, '');
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw settingError(
      `the file that ${pointer} names cannot be read: ${reason}`,
      'Name a file that this user may read.',
    );
  }
}
