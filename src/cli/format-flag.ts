import type { Flag, FlagValues } from './command.ts';

export const FORMAT_FLAG: Flag = {
  flags: '--format <format>',
  help: 'how to print: table for people, json for programs',
  choices: ['table', 'json'],
  default: 'table',
};

export function wantsJson(flags: FlagValues): boolean {
  return flags['format'] === 'json';
}

/** One value as indented JSON with a line end. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
