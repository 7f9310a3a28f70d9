const QUOTED = /^(["'])(.*)\1$/s;

/**
 * Takes one pair of equal quotes off the two ends of a text.
 * Compose's list form (`- NAME="value"`) and Portainer hand such quotes on as part of the value.
 */
export function unquote(text: string): string {
  return QUOTED.exec(text)?.[2] ?? text;
}
