import { readDockerConfigs } from '../config/docker-config-files.ts';
import { EXIT, type Command } from './command.ts';
import { loadSettings } from './setting-flags.ts';

/** `breakwater config check`. */
export const CONFIG_CHECK: Command = {
  name: ['config', 'check'],
  summary: 'Tell whether the settings can be used, and what is wrong with those that cannot',
  flags: [],
  settings: true,
  examples: [
    { line: 'breakwater config check', help: 'Exit code 0 where all is well, 2 where it is not' },
    {
      line: 'breakwater config check --config breakwater.yaml',
      help: 'Of a file, before it is put in place',
    },
  ],
  async run({ env, stdout }, flags) {
    const loaded = loadSettings(env, flags);
    await readDockerConfigs(loaded.config.dockerConfigs);
    const sources = Object.values(loaded.sources);
    const set = sources.filter(({ from }) => from !== 'default').length;
    stdout.write(`The settings can be used: ${set} set, ${sources.length - set} at their defaults.\n`);
    return EXIT.ok;
  },
};
