import { Command as Program, Option } from 'commander';
import { SETTINGS, type SettingName } from '../config/settings.ts';
import { COMMAND_GROUPS, type Command, type CommandContext, type Example } from './command.ts';
import { SETTING_FLAGS } from './setting-flags.ts';
import { versionText } from './version-command.ts';

/**
 * Builds commander's program from the declared commands; `ended` gets the exit code of the one that ran.
 * Commander throws instead of ending the process.
 */
export function createProgram(context: CommandContext, ended: (code: number) => void): Program {
  const program = quiet(new Program('breakwater'), context)
    .description(
      'A caching proxy for container registries. Settings are read from flags, the environment and a file.',
    )
    .version(versionText(context.version), '-V, --version', 'print the version')
    .addHelpText('after', examplesText(context.commands.flatMap(({ examples }) => examples.slice(0, 1))));
  const groups = new Map<string, Program>();
  for (const command of context.commands) {
    const [noun, verb] = command.name;
    if (verb === undefined) {
      addCommand(program, noun, command, context, ended);
      continue;
    }
    let group = groups.get(noun);
    if (group === undefined) {
      group = quiet(program.command(noun), context).description(COMMAND_GROUPS[noun] ?? '');
      groups.set(noun, group);
    }
    addCommand(group, verb, command, context, ended);
  }
  return program;
}

function addCommand(
  parent: Program,
  word: string,
  command: Command,
  context: CommandContext,
  ended: (code: number) => void,
): void {
  const child = quiet(parent.command(word), context).description(command.summary);
  for (const flag of command.flags) {
    child.addOption(new Option(flag.flags, flag.help).choices(flag.choices).default(flag.default));
  }
  if (command.settings) addSettings(child);
  child.addHelpText('after', examplesText(command.examples));
  child.action(async (flags: Record<string, unknown>) => {
    ended(await command.run(context, flags));
  });
}

/** So many that the help names but those that people give most often. */
const SHOWN: ReadonlySet<SettingName> = new Set(['configFile', 'listen', 'cacheDir', 'caDir', 'logLevel']);

function addSettings(child: Program): void {
  for (const { name, flag } of SETTING_FLAGS) {
    const { help } = SETTINGS[name];
    const option = new Option(`${flag} <value>`, plainText(help));
    child.addOption(SHOWN.has(name) ? option : option.hideHelp());
  }
  child.addHelpText(
    'after',
    '\nEvery other setting of docs/reference/configuration.md that is no secret is a flag too: its name in small\n' +
      'letters, with dashes. A flag wins over the environment, and that over the file.',
  );
}

/** Help in Markdown as a terminal shows it. */
function plainText(markdown: string): string {
  return markdown.replaceAll('`', '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
}

function quiet(program: Program, { stdout, stderr }: CommandContext): Program {
  return program
    .exitOverride()
    .helpCommand(false)
    .helpOption('-h, --help', 'print this help')
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      // What commander would print of an error is printed by whoever catches it.
      outputError: () => undefined,
    });
}

function examplesText(examples: readonly Example[]): string {
  const lines = examples.map(({ line, help }) => `  # ${help}\n  ${line}`);
  return `\nExamples:\n${lines.join('\n')}`;
}
