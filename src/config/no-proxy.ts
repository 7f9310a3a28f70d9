import { isIPv6 } from 'node:net';
import { settingError } from './setting.ts';
import { readWords } from './structure.ts';
import { parseTargets, type TargetPattern } from './target-list.ts';

/** A name, with a port or without; not an address, nor a pattern that says itself what is below it. */
const NAME = /^(?=[^:]*[a-z])[a-z0-9_][a-z0-9_.-]*(?::[^\]]*)?$/i;

/** Parses what no proxy is used for, as curl and Go read it: a name stands for itself and every name below it. */
export function parseNoProxy(text: string): readonly TargetPattern[] {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(parseEntry);
}

/** Reads a list of the same, one an entry. */
export function readNoProxy(value: unknown): readonly TargetPattern[] {
  return readWords(value, 'target', parseEntry);
}

function parseEntry(word: string): TargetPattern {
  const [address = '', bits] = word.split('/');
  const bare = isIPv6(address) ? `[${address}${bits === undefined ? '' : `/${bits}`}]` : word;
  const [pattern] = parseTargets(NAME.test(bare) ? `.${bare}` : bare);
  if (pattern === undefined) throw settingError('an entry is blank', 'Write one, or take it out.');
  return pattern;
}
