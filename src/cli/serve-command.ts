import { loadConfig } from '../config/config.ts';
import { EXIT, type Command } from './command.ts';

/** `breakwater serve`. */
export const SERVE: Command = {
  name: ['serve'],
  summary: 'Run the proxy; the command when none is given',
  flags: [],
  examples: [
    { line: 'breakwater serve', help: 'Run with the settings of the environment' },
    { line: 'CONFIG_FILE=/etc/breakwater.yaml breakwater', help: 'With the settings of a file too' },
    { line: 'CACHE_MAX_SIZE=100g LISTEN=:3128 breakwater', help: 'With a larger cache and another address' },
  ],
  async run({ env, serve }) {
    const code = await serve(loadConfig(env).config);
    return code ?? EXIT.ok;
  },
};
