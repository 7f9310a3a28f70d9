import type { LoadedConfig } from '../config/config.ts';
import type { Environment } from '../config/setting-text.ts';

/** What a command ends with: 0 all is well, 1 it failed, 2 the command line or a setting is wrong. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** Where a command writes: data to one, talk to the other. */
interface Output {
  write(text: string): unknown;
}

/** What a command has at hand. */
export interface CommandContext {
  readonly env: Environment;
  readonly version: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Runs the proxy until it is told to stop; `read` reads the configuration anew. A number is the exit code. */
  readonly serve: (first: LoadedConfig, read: () => LoadedConfig) => Promise<void | number>;
  /** Every command, for the one that documents them. */
  readonly commands: readonly Command[];
}

/** A flag that takes one of several words. */
export interface Flag {
  /** As commander writes it, e.g. `--format <format>`. */
  readonly flags: string;
  readonly help: string;
  readonly choices: readonly string[];
  readonly default: string;
}

/** A line to type, and what it does. */
export interface Example {
  readonly line: string;
  readonly help: string;
}

/** The values of a command's flags, by their long names. */
export type FlagValues = Readonly<Record<string, unknown>>;

/** One command, declared once; the help and the reference page are made from it. */
export interface Command {
  /** The words that call it: a noun, or a noun and a verb. */
  readonly name: readonly [string] | readonly [string, string];
  /** One sentence without a full stop. */
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** Whether it reads the settings, and so takes each as a flag. */
  readonly settings: boolean;
  readonly examples: readonly Example[];
  /** Gives the exit code; failures may be thrown. */
  run(context: CommandContext, flags: FlagValues): Promise<number>;
}

/** The nouns that only hold verbs, and what they are about. */
export const COMMAND_GROUPS: Readonly<Record<string, string>> = {
  config: 'Look at the settings',
  ca: 'Look at the certificate authority',
};
