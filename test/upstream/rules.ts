import { createGate, type Gate } from './gate.ts';
import { matches, type RecordedRequest, type RequestMatch } from './recorded-request.ts';
import type { Reply } from './reply.ts';

/** A reply, or what makes one of the request; `turn` counts the uses of the rule from 0. */
export type Script = Reply | ((request: RecordedRequest, turn: number) => Reply);

/** A script and the requests it is for. */
export interface Rule {
  readonly used: number;
  remove(): void;
}

/** An answer that stops somewhere until the test lets it go on. */
export interface Hold {
  /** The request whose answer is held; waits for it. */
  readonly arrived: Promise<RecordedRequest>;
  release(): void;
}

/** Which requests are answered otherwise than right. A later rule goes before an earlier one. */
export interface Rules {
  /** @param times how often it is used; without it, always. */
  on(match: RequestMatch, script: Script, times?: number): Rule;
  /** Holds the next answer that matches: before its headers, or at a byte of its body. */
  hold(match: RequestMatch, at: 'headers' | number, reply?: Reply): Hold;
  replyTo(request: RecordedRequest): Reply;
  /** Lets go of all that is held and forgets all rules. */
  clear(): void;
}

interface Entry extends Rule {
  used: number;
  readonly match: RequestMatch;
  readonly script: Script;
  readonly times: number;
}

export function createRules(): Rules {
  const entries: Entry[] = [];
  const gates = new Set<Gate>();

  const on: Rules['on'] = (match, script, times = Infinity) => {
    const entry: Entry = {
      match,
      script,
      times,
      used: 0,
      remove() {
        const at = entries.indexOf(entry);
        if (at >= 0) entries.splice(at, 1);
      },
    };
    entries.unshift(entry);
    return entry;
  };

  return {
    on,
    hold(match, at, reply = {}) {
      const gate = createGate();
      gates.add(gate);
      const { promise: arrived, resolve } = Promise.withResolvers<RecordedRequest>();
      on(
        match,
        (request) => {
          resolve(request);
          return at === 'headers'
            ? { ...reply, holdHeaders: gate.opened }
            : { ...reply, stall: { at, until: gate.opened } };
        },
        1,
      );
      return { arrived, release: () => gate.open() };
    },
    replyTo(request) {
      const entry = entries.find(({ match, used, times }) => used < times && matches(match, request));
      if (entry === undefined) return {};
      entry.used += 1;
      return typeof entry.script === 'function' ? entry.script(request, entry.used - 1) : entry.script;
    },
    clear() {
      entries.length = 0;
      for (const gate of gates) gate.open();
    },
  };
}
