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
    await program.parseAsync(withCommand(argv), { from: 'user' });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return endOfCommander(thrown, context);
    const failure = failureOf(thrown);
    context.stderr.write(failure.text);
    return failure.code;
  }
}

/** What begins with a flag, but for those of the program itself, is the default command's. */
function withCommand(argv: readonly string[]): readonly string[] {
  const [first = '-'] = argv;
  const isOfProgram = ['-h', '--help', '-V', '--version'].includes(first);
  return first.startsWith('-') && !isOfProgram ? [...DEFAULT_COMMAND.name, ...argv] : argv;
}

/** Commander throws for help and version too; those were printed and are no failure. */
function endOfCommander({ exitCode, code, message }: CommanderError, { stderr }: CommandContext): number {
  if (exitCode === 0) return EXIT.ok;
  // A noun without its verb: commander printed the help of the noun.
  if (code !== 'commander.help') {
    // Commander puts its guess of what was meant on a second line.
    // What stands behind a flag that is not known may be a secret.
    const what = message
      .replace(/^error: /, '')
      .replace(/(--[\w-]+)=[^']*/, '$1')
      .replaceAll('\n', ' ');
    stderr.write(failureText(what, 'Run "breakwater --help" for the commands and their flags.'));
  }
  return EXIT.usage;
}
