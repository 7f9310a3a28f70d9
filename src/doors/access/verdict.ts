import type { AccessRule } from '../../config/access-rule.ts';
import type { AskedAccess } from './asked-access.ts';

/** Who asks, and of which host. */
export interface Asker {
  readonly address: string;
  readonly user: string | undefined;
  /** The host that is asked, `host` or `host:port`. */
  readonly host: string;
}

/** `login` where it is refused, and a user might be allowed it. */
export type Verdict = 'allow' | 'deny' | 'login';

/** What the rules say: the first that matches decides, and what none matches is refused. */
export function verdictOf(rules: readonly AccessRule[], asker: Asker, asked: AskedAccess): Verdict {
  let refused: Verdict = 'deny';
  for (const rule of rules) {
    if (!matchesAsker(rule, asker) || !matchesAsked(rule, asked)) continue;
    if (rule.users !== undefined) {
      const { user } = asker;
      if (user === undefined) {
        if (rule.access === 'allow') refused = 'login';
        continue;
      }
      if (!rule.users.some((pattern) => pattern.matches(user))) continue;
    }
    return rule.access === 'allow' ? 'allow' : refused;
  }
  return refused;
}

function matchesAsker({ clients, registry }: AccessRule, { address, host }: Asker): boolean {
  return (clients?.has(address) ?? true) && (registry?.matches(host) ?? true);
}

function matchesAsked(rule: AccessRule, asked: AskedAccess): boolean {
  const special = rule.repository !== undefined || rule.action !== undefined;
  // whoever may do something there may enter; what else is asked is judged when it is
  if (asked.kind === 'entry') return !special || rule.access === 'allow';
  if (rule.action !== undefined && rule.action !== asked.action) return false;
  if (rule.repository === undefined) return true;
  return asked.repository !== undefined && rule.repository.matches(asked.repository);
}
