import { asBreakwaterError, type BreakwaterError } from '../registry/errors.ts';
import { traceOf } from '../registry/trace.ts';
import { EXIT } from './command.ts';

/** A failure as a person reads it: what it is, then how to mend it. */
export function failureText(what: string, mend: string): string {
  return `breakwater: ${what}\n${mend}\n`;
}

/** What is printed for anything that a command threw, and the exit code. */
export function failureOf(thrown: unknown): { readonly text: string; readonly code: number } {
  const error = asBreakwaterError(thrown);
  const mend = error.mend ?? `See ${error.code} in docs/reference/errors.md.`;
  const code = error.source === 'configuration' ? EXIT.usage : EXIT.failure;
  return { text: failureText(error.message, mend) + unnamedTrace(error), code };
}

/** The trace of what has no name: nobody else has it. */
function unnamedTrace({ code, cause }: BreakwaterError): string {
  return code === 'INTERNAL' && cause !== undefined ? `${traceOf(cause)}\n` : '';
}
