import { CommanderError } from 'commander';
import { EXIT, type CommandContext } from './command.ts';
import { COMMANDS, DEFAULT_COMMAND } from './commands.ts';
import { failureOf, failureText } from './failure-text.ts';
import { createProgram } from './program.ts';

/** What the command line needs of the process; `argv` holds the arguments alone, without node and script. */
export interface CliOptions extends Omit<CommandContext, 'commands'> {
  readonly argv: readonly string[];
}

/** Runs one command and gives the exit code of the process; it neither throws nor exits. */
export async function runCli({ argv, ...rest }: CliOptions): Promise<number> {
  const context: CommandContext = { ...rest, commands: COMMANDS };
  let code: number = EXIT.ok;
  const program = createProgram(context, (ended) => {
    code = ended;
  });
  try {
    await program.parseAsync(argv.length === 0 ? DEFAULT_COMMAND.name : argv, { from: 'user' });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return endOfCommander(thrown, context);
    const failure = failureOf(thrown);
    context.stderr.write(failure.text);
    return failure.code;
  }
}

/** Commander throws for help and version too; those were printed and are no failure. */
function endOfCommander({ exitCode, code, message }: CommanderError, { stderr }: CommandContext): number {
  if (exitCode === 0) return EXIT.ok;
  // A noun without its verb: commander printed the help of the noun.
  if (code !== 'commander.help') {
    // Commander puts its guess of what was meant on a second line.
    const what = message.replace(/^error: /, '').replaceAll('\n', ' ');
    stderr.write(failureText(what, 'Run "breakwater --help" for the commands and their flags.'));
  }
  return EXIT.usage;
}
