import { Option } from 'commander';
import { loadConfig, type LoadedConfig } from '../config/config.ts';
import { flagOf } from '../config/setting.ts';
import { DISK, type Environment } from '../config/setting-text.ts';
import { SETTING_NAMES, SETTINGS, type SettingName } from '../config/settings.ts';
import type { FlagValues } from './command.ts';

/** A setting and its flag. */
interface SettingFlag {
  readonly name: SettingName;
  readonly flag: string;
}

/** The settings that can be given on the command line. */
export const SETTING_FLAGS: readonly SettingFlag[] = SETTING_NAMES.flatMap((name) => {
  const flag = flagOf(SETTINGS[name]);
  return flag === undefined ? [] : [{ name, flag }];
});

/** Reads the settings of a command that takes them as flags. */
export function loadSettings(env: Environment, flags: FlagValues): LoadedConfig {
  const given = SETTING_FLAGS.flatMap(({ name, flag }): readonly [string, string][] => {
    const text = flags[new Option(`${flag} <value>`).attributeName()];
    return typeof text === 'string' ? [[SETTINGS[name].env, text]] : [];
  });
  return loadConfig(env, DISK, Object.fromEntries(given));
}
