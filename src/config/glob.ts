import { RE2JS } from 're2js';
import { settingError } from './setting.ts';

/** A compiled pattern for a name; its time is linear in the text, whatever the pattern. */
export interface GlobMatcher {
  /** The pattern as the user wrote it. */
  readonly source: string;
  matches(text: string): boolean;
}

const EXPRESSION = /^\/(.*)\/$/s;

/**
 * Compiles a pattern: `*` stands for any characters, slashes too, and `?` for one; all others for themselves.
 * A glob must cover the whole text. Between two slashes stands a regular expression (RE2), found anywhere in it.
 */
export function parseGlob(text: string): GlobMatcher {
  const source = text.trim();
  if (source === '')
    throw settingError('the pattern is blank', 'Write a pattern, or leave it out to match all.');
  const expression = EXPRESSION.exec(source)?.[1];
  const compiled = expression === undefined ? compile(`^${globExpression(source)}$`) : compile(expression);
  return { source, matches: (candidate) => compiled.test(candidate) };
}

/** No name holds a line end, yet whatever a client sends is one text: `s` lets the dot take all of it. */
function globExpression(glob: string): string {
  const parts = Array.from(glob, (character) => {
    if (character === '*') return '(?s:.*)';
    return character === '?' ? '(?s:.)' : RE2JS.quote(character);
  });
  return parts.join('');
}

function compile(expression: string): RE2JS {
  try {
    return RE2JS.compile(expression);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw settingError(
      `the expression does not compile: ${reason}`,
      'Correct it; look-around and back-references can hang, and are refused (RE2 syntax).',
    );
  }
}
