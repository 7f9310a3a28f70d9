import { loadConfig } from '../config/config.ts';
import { readDockerConfigs } from '../config/docker-config-files.ts';
import { EXIT, type Command } from './command.ts';

/** `breakwater config check`. */
export const CONFIG_CHECK: Command = {
  name: ['config', 'check'],
  summary: 'Tell whether the settings can be used, and what is wrong with those that cannot',
  flags: [],
  examples: [{ line: 'breakwater config check', help: 'Exit code 0 where all is well, 2 where it is not' }],
  async run({ env, stdout }) {
    const loaded = loadConfig(env);
    await readDockerConfigs(loaded.config.dockerConfigs);
    const sources = Object.values(loaded.sources);
    const set = sources.filter(({ from }) => from !== 'default').length;
    stdout.write(`The settings can be used: ${set} set, ${sources.length - set} at their defaults.\n`);
    return EXIT.ok;
  },
};
