import { BreakwaterError } from '../registry/errors.ts';
import { withoutUserinfo } from './userinfo.ts';

/** A place in a file, lines and columns counted from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One thing that is wrong with the settings; `value` is fit to be shown. */
export interface Problem {
  /** A variable, or a place in the tree of the configuration file; undefined where it is no setting's. */
  readonly subject: string | undefined;
  readonly value?: string | undefined;
  /** Where it was written, if in the configuration file. */
  readonly place?: Place | undefined;
  readonly reason: string;
  readonly mend: string;
}

const LONGEST_VALUE = 120;

/** One failure that lists every problem, three lines each. */
export function problemsError(problems: readonly Problem[]): BreakwaterError {
  const list = problems.map((problem) => `  ${heading(problem)}\n    ${problem.reason}\n    ${problem.mend}`);
  return new BreakwaterError(
    'SETTING_INVALID',
    withoutUserinfo(`${countText(problems)}:\n${list.join('\n')}`),
    {
      mend: 'Correct them and start again; "breakwater config check" tells whether all is well.',
    },
  );
}

/** `file:line:column`, as editors and terminals understand it. */
function placeText({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}

function countText(problems: readonly Problem[]): string {
  const { length } = problems;
  if (problems.some(({ subject }) => subject === undefined)) {
    return length === 1 ? 'One problem with the settings' : `${length} problems with the settings`;
  }
  return `${length === 1 ? 'One setting' : `${length} settings`} cannot be used`;
}

function heading({ subject, value, place }: Problem): string {
  const shown = value === undefined ? undefined : shorten(withoutUserinfo(value));
  if (place === undefined) return shown === undefined ? (subject ?? '') : `${subject}=${shown}`;
  return [placeText(place), subject, shown].filter((part) => part !== undefined).join(': ');
}

function shorten(value: string): string {
  return value.length <= LONGEST_VALUE ? value : `${value.slice(0, LONGEST_VALUE)}…`;
}
