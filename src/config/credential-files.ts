import type { Config } from './config.ts';
import { unquote } from './quotes.ts';
import type { Environment } from './setting-text.ts';
import { SETTINGS } from './settings.ts';

/** The files that credentials are read from, as far as the settings name any. */
export function credentialFiles(env: Environment, { configFile, dockerConfigs }: Config): readonly string[] {
  const list = unquote(env[`${SETTINGS.credentials.env}_FILE`] ?? '');
  return [
    ...(list === '' ? [] : [list]),
    ...(configFile === undefined ? [] : [configFile]),
    ...dockerConfigs,
  ];
}
