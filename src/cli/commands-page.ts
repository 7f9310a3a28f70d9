import type { Command, Flag } from './command.ts';

const INTRODUCTION = `# Command line

<!-- Made by "breakwater config docs --page cli"; change the declarations in src/cli/ instead. -->

\`breakwater [command] [flags]\`. Without a command it serves. Every command takes \`--help\`, and \`breakwater --version\`
prints the version.

Every setting of [the configuration](configuration.md) that is no secret is a flag of the commands that read settings: its
name in small letters, with dashes, e.g. \`--cache-max-size 100g\` for \`CACHE_MAX_SIZE\`; \`--config\` is \`CONFIG_FILE\`. A
flag wins over the environment, the environment over the file, and the file over the default.

Data goes to standard output, talk to standard error. A failure is told in two parts: what it is, and how to mend it.

| Exit code | Meaning |
|---|---|
| 0 | all is well |
| 1 | the command failed |
| 2 | the command line or a setting is wrong |
`;

/** The Markdown of `docs/reference/cli.md`. */
export function commandsPage(commands: readonly Command[]): string {
  return [INTRODUCTION, ...commands.map(commandText)].join('\n');
}

function commandText({ name, summary, flags, settings, examples }: Command): string {
  const shown = examples.map(({ line, help }) => `# ${help}\n${line}`).join('\n');
  return [
    `## \`breakwater ${name.join(' ')}\``,
    '',
    `${summary}.${settings ? ' Takes every setting as a flag.' : ''}`,
    '',
    ...(flags.length === 0
      ? []
      : ['| Flag | Default | Meaning |', '|---|---|---|', ...flags.map(flagRow), '']),
    '```sh',
    shown,
    '```',
    '',
  ].join('\n');
}

function flagRow({ flags, help, choices, default: value }: Flag): string {
  return `| \`${flags}\` | \`${value}\` | ${help} (${choices.map((choice) => `\`${choice}\``).join(', ')}) |`;
}
