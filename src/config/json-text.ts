import { settingError } from './setting.ts';

/**
 * Parses JSON, as structured settings are in the environment; `example` is shown where it is none.
 * @param isSecret whether the text must not be quoted, as the reason would.
 */
export function parseJson(text: string, example: string, isSecret = false): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    const reason = isSecret ? '' : `: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    throw settingError(`it is not JSON${reason}`, `Write a list, e.g. ${example}.`);
  }
}
