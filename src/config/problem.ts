import { BreakwaterError } from '../registry/errors.ts';

/** One thing that is wrong with the settings; `value` is fit to be shown. */
export interface Problem {
  readonly variable: string;
  readonly value: string | undefined;
  readonly reason: string;
  readonly mend: string;
}

const LONGEST_VALUE = 120;

/** One failure that lists every problem, three lines each. */
export function problemsError(problems: readonly Problem[]): BreakwaterError {
  const count = problems.length === 1 ? 'One setting' : `${problems.length} settings`;
  const list = problems.map(({ variable, value, reason, mend }) => {
    const written = value === undefined ? variable : `${variable}=${shorten(value)}`;
    return `  ${written}\n    ${reason}\n    ${mend}`;
  });
  return new BreakwaterError('SETTING_INVALID', `${count} cannot be used:\n${list.join('\n')}`, {
    mend: 'Correct them and start again; "breakwater config check" tells whether all is well.',
  });
}

function shorten(value: string): string {
  return value.length <= LONGEST_VALUE ? value : `${value.slice(0, LONGEST_VALUE)}…`;
}
