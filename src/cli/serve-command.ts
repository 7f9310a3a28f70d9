import { EXIT, type Command } from './command.ts';
import { loadSettings } from './setting-flags.ts';

/** `breakwater serve`. */
export const SERVE: Command = {
  name: ['serve'],
  summary: 'Run the proxy; the command when none is given',
  flags: [],
  settings: true,
  examples: [
    { line: 'breakwater serve', help: 'Run with the settings of the environment' },
    { line: 'breakwater serve --config /etc/breakwater.yaml', help: 'With the settings of a file too' },
    {
      line: 'CACHE_MAX_SIZE=100g breakwater --listen :3128',
      help: 'With a larger cache, by a variable, and another address, by a flag',
    },
  ],
  async run({ env, serve }, flags) {
    const code = await serve(loadSettings(env, flags), () => loadSettings(env, flags));
    return code ?? EXIT.ok;
  },
};
