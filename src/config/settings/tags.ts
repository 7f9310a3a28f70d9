import { parseTime } from '../nginx-time.ts';
import type { Setting } from '../setting.ts';
import { parseTagRules, readTagRules } from '../tag-rule.ts';

/** How long tags are believed, and what becomes of them when upstream cannot answer. */
export const TAGS = {
  tagCheckInterval: {
    env: 'TAG_CHECK_INTERVAL',
    path: 'tags.check_interval',
    parse: parseTime,
    default: '3s',
    help: 'With `ENABLE_MANIFEST_CACHE=false`, a tag is checked upstream at most once in this time; `0` checks it at every request.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  tagStaleTime: {
    env: 'TAG_STALE_TIME',
    path: 'tags.stale',
    parse: parseTime,
    default: '60d',
    help: 'How long after its last check a tag may still be served when upstream cannot answer, or when the rest of its rate limit is kept back.',
    takesEffect: 'reload',
    since: '0.1.0',
  },
  tagRules: {
    env: 'TAG_RULES',
    path: 'tags.rules',
    parse: parseTagRules,
    parseStructure: readTagRules,
    default: '[]',
    help: 'Rules for single tags, the first that matches decides; a JSON list in the environment. A rule matches by `registry`, `repository` and `tag` (globs, or `/regex/`) and sets `fresh`, `revalidate`, `grace`, `stale` or `refresh`; see [the configuration file](../how-to/configuration-file.md).',
    takesEffect: 'reload',
    since: '0.1.0',
  },
} as const satisfies Record<string, Setting<unknown>>;
