import { parsePath } from '../plain-values.ts';
import type { Setting } from '../setting.ts';

/** Where settings are read from beside the environment. */
export const FILE = {
  configFile: {
    env: 'CONFIG_FILE',
    flag: '--config',
    path: undefined,
    parse: parsePath,
    default: undefined,
    help: 'YAML file with settings, each at its place in the column "In the file". The environment wins over it. See [the annotated example](../how-to/configuration-file.md).',
    takesEffect: 'restart',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
