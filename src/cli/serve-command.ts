import { loadConfig } from '../config/config.ts';
import { EXIT, type Command } from './command.ts';

/** `breakwater serve`. */
export const SERVE: Command = {
  name: ['serve'],
  summary: 'Run the proxy; the command when none is given',
  flags: [],
  examples: [
    { line: 'breakwater serve', help: 'Run with the settings of the environment' },
    { line: 'CACHE_MAX_SIZE=100g LISTEN=:3128 breakwater', help: 'The same, with a larger cache' },
  ],
  async run({ env, serve }) {
    const code = await serve(loadConfig(env).config);
    return code ?? EXIT.ok;
  },
};
