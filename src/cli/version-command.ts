import { EXIT, type Command } from './command.ts';

/** `breakwater version`. */
export const VERSION: Command = {
  name: ['version'],
  summary: 'Print the version',
  flags: [],
  settings: false,
  examples: [{ line: 'breakwater version', help: 'The same as breakwater --version' }],
  async run({ stdout, version }) {
    stdout.write(`${versionText(version)}\n`);
    return EXIT.ok;
  },
};

export function versionText(version: string): string {
  return `breakwater ${version}`;
}
