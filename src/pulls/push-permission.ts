import type { Config } from '../config/config.ts';
import { BreakwaterError } from '../registry/errors.ts';
import { NOBODY } from '../upstream/identity.ts';
import { toRefusal } from '../upstream/refusal.ts';
import { discard, type Upstream } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';

/** Lets a push go ahead, or throws why not. */
export type PermitPush = (exchange: Exchange) => Promise<void>;

type PushSettings = Pick<Config, 'allowPush' | 'allowPushWithOwnAuth'>;

export function createPermitPush(
  upstream: Upstream,
  { allowPush, allowPushWithOwnAuth }: PushSettings,
): PermitPush {
  return async (exchange) => {
    const { registry, identity } = exchange;
    if (!allowPush && !allowPushWithOwnAuth) {
      throw new BreakwaterError('PUSH_DISABLED', 'pushing through the proxy is off', {
        headers: { Allow: 'GET, HEAD' },
        mend: 'Set ALLOW_PUSH=true on the proxy, or push without it.',
      });
    }
    if (!allowPushWithOwnAuth || identity.kind === 'client') return;
    // a client that has credentials sends them when it is asked to, by the registry's own challenge
    const asked = {
      registry,
      method: 'GET',
      path: '/v2/',
      headers: {},
      identity: NOBODY,
      follow: false,
    } as const;
    const answer = await upstream.ask(asked);
    if (answer.status === 401) throw await toRefusal(answer);
    await discard(answer);
    throw new BreakwaterError('PUSH_DISABLED', "pushes need credentials of the client's own here", {
      headers: { Allow: 'GET, HEAD' },
      mend: `Log in to ${registry.name}, or set ALLOW_PUSH=true and ALLOW_PUSH_WITH_OWN_AUTH=false on the proxy.`,
    });
  };
}
