import { RE2JS } from 're2js';
import { settingError } from './setting.ts';

/** Which tags belong to a tier of the manifest cache. */
export interface TagPattern {
  /** The expression as the user wrote it. */
  readonly source: string;
  /** True where the expression matches at the start of `tag`; it need not reach the end. Time is linear in the tag. */
  matches(tag: string): boolean;
}

/**
 * Compiles a regular expression that is put where the tag begins, as in `/v2/<name>/manifests/<expression>`.
 * What needs backtracking (look-around, back-references, possessive or atomic groups) is refused.
 */
export function parseTagPattern(text: string): TagPattern {
  const source = text.trim();
  try {
    // Alone first: `a)|(b` must not become valid by the group put around it.
    RE2JS.compile(source);
    const compiled = RE2JS.compile(`^(?:${source})`);
    return { source, matches: (tag) => compiled.test(tag) };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw settingError(
      `the expression does not compile: ${reason}`,
      'Correct it; look-around, back-references and possessive quantifiers can hang, and are refused (RE2 syntax).',
    );
  }
}
