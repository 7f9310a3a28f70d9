import type { RepositoryName } from './name.ts';

/** What a token may do: `type:name:action,action` (distribution's token scope specification). */
export interface Scope {
  readonly type: string;
  /** May hold colons, as in `host:5000/a`. */
  readonly name: string;
  readonly actions: readonly string[];
}

/**
 * The scope of a token that is good for a method on a repository, as registries ask for it (distribution's
 * `appendAccessRecords`): reading pulls, deleting deletes, all else pulls and pushes.
 */
export function repositoryScope(repository: RepositoryName, method: string): string {
  const reads = method === 'GET' || method === 'HEAD';
  const actions = reads ? ['pull'] : method === 'DELETE' ? ['delete'] : ['pull', 'push'];
  return formatScope({ type: 'repository', name: repository, actions });
}

/**
 * Scopes of repositories without what goes beyond pulling; all others stay as they are. What asks for no more
 * comes back unchanged.
 */
export function pullOnly(text: string): string {
  return text
    .split(' ')
    .flatMap((part) => {
      const scope = parseScope(part);
      if (scope?.type !== 'repository' || scope.actions.every((action) => action === 'pull')) return part;
      return scope.actions.some((action) => action === 'pull' || action === '*')
        ? formatScope({ ...scope, actions: ['pull'] })
        : [];
    })
    .join(' ');
}

/** Parses scopes separated by spaces; what has no type, name and actions is left out. */
export function parseScopes(text: string): Scope[] {
  return text.split(' ').flatMap((part) => parseScope(part) ?? []);
}

export function formatScope({ type, name, actions }: Scope): string {
  return `${type}:${name}:${actions.join(',')}`;
}

/**
 * The same text for all texts that ask for the same: scopes and their actions sorted and each written once,
 * so that it can be a key. What is no scope stays as it is.
 */
export function normalizeScope(text: string): string {
  const actionsOf = new Map<string, readonly string[]>();
  for (const part of text.split(' ')) {
    const scope = parseScope(part);
    const key = scope === undefined ? part : `${scope.type}:${scope.name}`;
    actionsOf.set(key, [...(actionsOf.get(key) ?? []), ...(scope?.actions ?? [])]);
  }
  const parts = [...actionsOf].map(([key, actions]) =>
    actions.length === 0 ? key : `${key}:${[...new Set(actions)].sort().join(',')}`,
  );
  return parts
    .filter((part) => part !== '')
    .sort()
    .join(' ');
}

/** The type ends at the first colon and the actions begin after the last. */
function parseScope(text: string): Scope | undefined {
  const [first, last] = [text.indexOf(':'), text.lastIndexOf(':')];
  const actions = text
    .slice(last + 1)
    .split(',')
    .filter((action) => action !== '');
  if (first < 1 || last <= first + 1 || actions.length === 0) return undefined;
  return { type: text.slice(0, first), name: text.slice(first + 1, last), actions };
}
