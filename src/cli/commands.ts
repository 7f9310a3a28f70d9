import { CA_SHOW } from './ca-show-command.ts';
import type { Command } from './command.ts';
import { CONFIG_CHECK } from './config-check-command.ts';
import { CONFIG_DOCS } from './config-docs-command.ts';
import { CONFIG_SHOW } from './config-show-command.ts';
import { HEALTHCHECK } from './healthcheck-command.ts';
import { SERVE } from './serve-command.ts';
import { VERSION } from './version-command.ts';

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  SERVE,
  CONFIG_CHECK,
  CONFIG_SHOW,
  CONFIG_DOCS,
  CA_SHOW,
  HEALTHCHECK,
  VERSION,
];

/** The command when none is given. */
export const DEFAULT_COMMAND = SERVE;
