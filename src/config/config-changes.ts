import type { LoadedConfig } from './config.ts';
import type { Setting } from './setting.ts';
import { SETTING_NAMES, SETTINGS, type SettingName } from './settings.ts';

/** A setting that has another text than before; both are fit to be shown. */
export interface SettingChange {
  /** The setting's variable. */
  readonly setting: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** What a newly read configuration changes, and what of it can be had while the proxy runs. */
export interface ConfigChanges {
  /** What is to be in force: all that is new, but for what needs a restart. */
  readonly next: LoadedConfig;
  readonly changed: readonly SettingChange[];
  /** Changed, and without effect until the proxy starts anew. */
  readonly needRestart: readonly SettingChange[];
}

/** Compares the configuration in force with one that was just read. */
export function configChanges(current: LoadedConfig, read: LoadedConfig): ConfigChanges {
  const different = SETTING_NAMES.filter((name) => !isSame(name, current, read));
  const waiting = different.filter((name) => takesEffect(SETTINGS[name]) === 'restart');
  const change = (name: SettingName): SettingChange => ({
    setting: SETTINGS[name].env,
    before: current.sources[name].text,
    after: read.sources[name].text,
  });
  return {
    next: {
      config: Object.freeze({ ...read.config, ...keep(current.config, waiting) }),
      sources: Object.freeze({ ...read.sources, ...keep(current.sources, waiting) }),
      texts: Object.freeze({ ...read.texts, ...keep(current.texts, waiting) }),
    },
    changed: different.filter((name) => !waiting.includes(name)).map(change),
    needRestart: waiting.map(change),
  };
}

type Values = Readonly<Record<SettingName, unknown>>;

function keep<All extends Values>(values: All, names: readonly SettingName[]): Partial<All> {
  const kept: { -readonly [Name in keyof All]?: All[Name] } = {};
  for (const name of names) kept[name] = values[name];
  return kept;
}

function takesEffect({ takesEffect: when }: Setting<unknown>): Setting<unknown>['takesEffect'] {
  return when;
}

function isSame(name: SettingName, a: LoadedConfig, b: LoadedConfig): boolean {
  const isBlank = ({ sources }: LoadedConfig): boolean => sources[name].text === undefined;
  return isBlank(a) === isBlank(b) && a.texts[name].reveal() === b.texts[name].reveal();
}
