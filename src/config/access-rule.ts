import * as v from 'valibot';
import { DOCKER_HUB, DOCKER_HUB_REALM } from '../registry/docker-hub.ts';
import { addressSet, type AddressSet } from './address-set.ts';
import { parseGlob, type GlobMatcher } from './glob.ts';
import { parseJson } from './json-text.ts';
import { oneOf } from './plain-values.ts';
import { parseRegistryGlob } from './registry-glob.ts';
import { parsed, parsedWords, readList, StructureError } from './structure.ts';

/** Whom the proxy serves: the first rule that matches decides, and what none matches is refused. */
export interface AccessRule {
  readonly access: 'allow' | 'deny';
  /** Addresses of clients; undefined takes all, as for the others. */
  readonly clients?: AddressSet | undefined;
  /** Names of users, any one of them; whoever did not log in matches none. */
  readonly users?: readonly GlobMatcher[] | undefined;
  /** Takes the host that is asked, `host` or `host:port`, be it a registry or what a tunnel leads to. */
  readonly registry?: GlobMatcher | undefined;
  readonly repository?: GlobMatcher | undefined;
  readonly action?: 'pull' | 'push' | undefined;
}

const SHAPE = {
  noun: 'rule',
  entries: {
    access: parsed(oneOf('allow', 'deny')),
    clients: v.optional(parsedWords(addressSet)),
    users: v.optional(parsedWords((list) => list.map(parseGlob))),
    registry: v.optional(parsed(parseHostGlob)),
    repository: v.optional(parsed(parseGlob)),
    action: v.optional(parsed(oneOf('pull', 'push'))),
  },
} as const;

/** Parses the rules as JSON, as the environment has them. */
export function parseAccessRules(text: string): readonly AccessRule[] {
  return readAccessRules(parseJson(text, '[{"registry":"ghcr.io","access":"deny"},{"access":"allow"}]'));
}

/** Reads the rules as a list of mappings. */
export function readAccessRules(value: unknown): readonly AccessRule[] {
  const rules: readonly AccessRule[] = readList(value, SHAPE);
  if (rules.length > 0 && rules.every(({ access }) => access === 'deny')) {
    const reason = 'no rule allows anything, and what no rule matches is refused';
    throw new StructureError([{ at: [], reason, mend: 'Add a last rule with access: allow alone.' }]);
  }
  return rules;
}

/** Docker Hub's tokens are of no use elsewhere, and it is of none without them: one pattern takes both hosts. */
function parseHostGlob(text: string): GlobMatcher {
  const glob = parseRegistryGlob(text);
  const isHubToken = (host: string): boolean => host.toLowerCase() === DOCKER_HUB_REALM;
  return {
    source: glob.source,
    matches: (host) => glob.matches(host) || (isHubToken(host) && glob.matches(DOCKER_HUB)),
  };
}
