import * as v from 'valibot';
import { parseGlob, type GlobMatcher } from './glob.ts';
import { parseTime } from './nginx-time.ts';
import { parseJson } from './json-text.ts';
import { parseRegistryGlob } from './registry-glob.ts';
import { flag, parsed, readList, StructureError, type StructureFault } from './structure.ts';

/** What holds for the tags that a rule matches; the first rule that matches decides. Times in milliseconds. */
export interface TagRule {
  /** Takes a registry's name, `host` or `host:port`; undefined takes all, as for the other two. */
  readonly registry?: GlobMatcher | undefined;
  readonly repository?: GlobMatcher | undefined;
  readonly tag?: GlobMatcher | undefined;
  /** How long a tag is served without asking upstream. */
  readonly fresh?: number | undefined;
  /** Whether upstream is asked every time. */
  readonly revalidate?: boolean | undefined;
  /** How long after that a tag is served at once, while one check runs in the background. */
  readonly grace?: number | undefined;
  /** How long a tag is served when upstream cannot answer. */
  readonly stale?: number | undefined;
  /** Whether a tag in use is checked before its time is over. */
  readonly refresh?: boolean | undefined;
}

const SHAPE = {
  noun: 'rule',
  entries: {
    registry: v.optional(parsed(parseRegistryGlob)),
    repository: v.optional(parsed(parseGlob)),
    tag: v.optional(parsed(parseGlob)),
    fresh: v.optional(parsed(parseTime)),
    revalidate: v.optional(flag),
    grace: v.optional(parsed(parseTime)),
    stale: v.optional(parsed(parseTime)),
    refresh: v.optional(flag),
  },
} as const;

/** Parses the rules as JSON, as the environment has them. */
export function parseTagRules(text: string): readonly TagRule[] {
  return readTagRules(parseJson(text, '[{"tag":"*-nightly","fresh":"10m"}]'));
}

/** Reads the rules as a list of mappings; times are nginx's, and a bare number is seconds. */
export function readTagRules(value: unknown): readonly TagRule[] {
  const rules: readonly TagRule[] = readList(value, SHAPE);
  const faults = rules.flatMap(contradictions);
  if (faults.length > 0) throw new StructureError(faults);
  return rules;
}

function contradictions(rule: TagRule, index: number): readonly StructureFault[] {
  const place = `rule ${index + 1}`;
  const outlived = (['fresh', 'grace'] as const).filter((key) => rule[key] !== undefined);
  const clash = [...outlived, ...(rule.refresh === true ? ['refresh'] : [])];
  if (rule.revalidate === true && clash.length > 0) {
    return [
      {
        at: [index, 'revalidate'],
        reason: `${place}: revalidate asks upstream every time, which leaves no meaning to ${clash.join(' and ')}`,
        mend: `Remove revalidate, or remove ${clash.join(' and ')}.`,
      },
    ];
  }
  if (rule.refresh === true && (rule.fresh ?? 0) === 0) {
    return [
      {
        at: [index, 'refresh'],
        reason: `${place}: refresh checks a tag before its time is over, and fresh gives it none`,
        mend: 'Add fresh, e.g. fresh: 1h, or remove refresh.',
      },
    ];
  }
  return [];
}
