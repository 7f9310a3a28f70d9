import type { Setting } from './setting.ts';
import { ACCESS } from './settings/access.ts';
import { AUTHORITY } from './settings/authority.ts';
import { CACHING } from './settings/caching.ts';
import { DIAGNOSING } from './settings/diagnosing.ts';
import { FILE } from './settings/file.ts';
import { LISTENING } from './settings/listening.ts';
import { PASSING } from './settings/passing.ts';
import { PRIVATE } from './settings/private.ts';
import { REGISTRIES } from './settings/registries.ts';
import { ROUTING } from './settings/routing.ts';
import { TAGS } from './settings/tags.ts';
import { TIMEOUTS } from './settings/timeouts.ts';

/** Every setting, by the name of its field in `Config`. */
export const SETTINGS = {
  ...FILE,
  ...LISTENING,
  ...ACCESS,
  ...AUTHORITY,
  ...REGISTRIES,
  ...PRIVATE,
  ...CACHING,
  ...TAGS,
  ...PASSING,
  ...ROUTING,
  ...TIMEOUTS,
  ...DIAGNOSING,
} as const;

/** Settings that belong together, as the reference page shows them. */
export interface SettingGroup {
  readonly title: string;
  readonly settings: Readonly<Record<string, Setting<unknown>>>;
}

export const SETTING_GROUPS: readonly SettingGroup[] = [
  { title: 'Configuration file', settings: FILE },
  { title: 'Listening', settings: LISTENING },
  { title: 'Who may use it, and where it leads', settings: ACCESS },
  { title: 'Certificate authority', settings: AUTHORITY },
  { title: 'Registries and credentials', settings: REGISTRIES },
  { title: 'Private images', settings: PRIVATE },
  { title: 'Cache', settings: CACHING },
  { title: 'Tags', settings: TAGS },
  { title: 'Pushing and upstream', settings: PASSING },
  { title: 'The way to the registries', settings: ROUTING },
  { title: 'Timeouts', settings: TIMEOUTS },
  { title: 'Logging and debugging', settings: DIAGNOSING },
];

export type SettingName = keyof typeof SETTINGS;

function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS).filter(isSettingName);
