import type { RepositoryName } from './name.ts';

/** The scope of a token that may pull from a repository (distribution's token scope specification). */
export function pullScope(repository: RepositoryName): string {
  return `repository:${repository}:pull`;
}
