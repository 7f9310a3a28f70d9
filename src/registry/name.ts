import { BreakwaterError } from './errors.ts';

/** A repository name that was checked against the grammar, e.g. `library/alpine`. */
export type RepositoryName = string & { readonly __repository: unique symbol };
/** A tag that was checked against the grammar, e.g. `3.19`. */
export type Tag = string & { readonly __tag: unique symbol };

/** distribution-spec, "Pulling manifests": `<name>` and `<reference>` as a tag. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
/** Docker's limit on registry host and name together is 255 characters. */
const NAME_LENGTH = 255;

/** True where `text` is a repository name. */
export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= NAME_LENGTH && text.split('/').every((part) => COMPONENT.test(part));
}

/** True where `text` is a tag. */
function isTag(text: string): text is Tag {
  return TAG.test(text);
}

/** Parses a repository name or throws `NAME_INVALID`. */
export function parseRepositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text;
  throw new BreakwaterError('NAME_INVALID', `invalid repository name ${JSON.stringify(text.slice(0, 200))}`);
}

/** Parses a tag or throws `TAG_INVALID`. */
export function parseTag(text: string): Tag {
  if (isTag(text)) return text;
  throw new BreakwaterError('TAG_INVALID', `invalid tag ${JSON.stringify(text.slice(0, 200))}`);
}
