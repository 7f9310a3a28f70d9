/** A line of a stack that says where; anything else may be words of a message. */
const FRAME = /^ {4}at [\w$.<>#[\] ]*\(?(?:file:\/\/|node:|\/)\S+:\d+:\d+\)?$/;
/** A name or code, and no sentence. */
const WORD = /^\w{1,64}$/;
const MAX_CAUSES = 5;

/**
 * Tells a failure that is not Breakwater's own by its name and code alone: its message may repeat what it was given, a
 * secret perhaps. That of a system call is made of the call, its path and the reason, and is kept.
 */
export function nameOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `a thrown ${typeof thrown}`;
  if ('syscall' in thrown) return thrown.message;
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
  return [thrown.name, code].filter((word) => WORD.test(word)).join(' ') || 'Error';
}

/** Where a failure came from, and its causes: names and places, no message and no other property. */
export function traceOf(thrown: unknown): string {
  const lines: string[] = [];
  let failure = thrown;
  for (let depth = 0; failure !== undefined && depth < MAX_CAUSES; depth += 1) {
    lines.push(`${depth === 0 ? '' : 'caused by '}${nameOf(failure)}`);
    if (!(failure instanceof Error)) break;
    lines.push(...(failure.stack ?? '').split('\n').filter((line) => FRAME.test(line)));
    failure = failure.cause;
  }
  return lines.join('\n');
}
