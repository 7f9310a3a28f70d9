import { Secret } from './secret.ts';
import { settingError } from './setting.ts';
import { readWords } from './structure.ts';

/** Parses `true` or `false` in any case. */
export function parseBoolean(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (word === 'true') return true;
  if (word === 'false') return false;
  throw settingError('it is neither true nor false', 'Write true or false.');
}

/** Parses a whole number that is not negative. */
export function parseCount(text: string): number {
  const count = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(count)) return count;
  throw settingError('it is not a whole number', 'Write digits alone, e.g. 10.');
}

/** A parser of one word out of a fixed list, in any case. */
export function oneOf<const Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const wanted = text.trim().toLowerCase();
    const word = words.find((candidate) => candidate === wanted);
    if (word !== undefined) return word;
    throw settingError('it is none of the known words', `Write one of ${words.join(', ')}.`);
  };
}

/** Text that is not blank, without the white space around it. */
export function parsePath(text: string): string {
  const path = text.trim();
  if (path === '') throw settingError('it is blank', 'Write a path, or leave the variable unset.');
  return path;
}

/** Parses a list of paths, divided by white space. */
export function parsePaths(text: string): readonly string[] {
  return text.split(/\s+/).filter((path) => path !== '');
}

/** Reads a list of paths, one an entry; they may hold spaces. */
export function readPaths(value: unknown): readonly string[] {
  return readWords(value, 'path', parsePath);
}

/** Text as it stands, white space included. */
export function parseVerbatim(text: string): string {
  return text;
}

export function parseSecret(text: string): Secret {
  return new Secret(text);
}
