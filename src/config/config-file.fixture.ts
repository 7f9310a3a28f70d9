import { BreakwaterError } from '../registry/errors.ts';
import { loadConfig, type LoadedConfig } from './config.ts';
import type { Environment, Files } from './setting-text.ts';

export const FILE = '/etc/breakwater.yaml';

function disk(yaml: string): Files {
  return {
    isFolder: () => false,
    read(path) {
      if (path === FILE) return yaml;
      if (path === '/run/secret') return 'from-a-secret-file\n';
      throw new Error(`ENOENT: ${path}`);
    },
  };
}

/** Loads the settings with a file of this text. */
export const load = (yaml: string, env: Environment = {}): LoadedConfig =>
  loadConfig({ CONFIG_FILE: FILE, ...env }, disk(yaml));

/** What is said of settings that cannot be used; `accepted` where they can. */
export function refusal(yaml: string, env: Environment = {}): string {
  try {
    load(yaml, env);
  } catch (error) {
    if (error instanceof BreakwaterError && error.code === 'SETTING_INVALID') return error.message;
    throw error;
  }
  return 'accepted';
}

/** The first line of each problem, without its indentation. */
export const headings = (yaml: string, env: Environment = {}): readonly string[] =>
  refusal(yaml, env)
    .split('\n')
    .filter((line) => /^ {2}\S/.test(line))
    .map((line) => line.trim());
