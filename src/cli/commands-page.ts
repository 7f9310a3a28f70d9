import type { Command, Flag } from './command.ts';

const INTRODUCTION = `# Command line

<!-- Made by "breakwater config docs --page cli"; change the declarations in src/cli/ instead. -->

\`breakwater [command] [flags]\`. Without a command it serves. Every command takes \`--help\`, and \`breakwater --version\`
prints the version. The settings come from the environment and from the file that \`CONFIG_FILE\` names: see
[configuration](configuration.md).

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

function commandText({ name, summary, flags, examples }: Command): string {
  const shown = examples.map(({ line, help }) => `# ${help}\n${line}`).join('\n');
  return [
    `## \`breakwater ${name.join(' ')}\``,
    '',
    `${summary}.`,
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
