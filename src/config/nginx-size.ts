import { settingError } from './setting.ts';

const SIZE = /^(\d+)([kmgt]?)$/i;
const UNIT: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/**
 * Parses a size as nginx writes it: digits and one unit `k m g t` in either case, e.g. `32g`, `500M`, `1024`.
 * Returns bytes. Throws `SETTING_INVALID`. Source: nginx `ngx_parse_offset`, with `t` added.
 */
export function parseSize(text: string): number {
  const [, digits = '', unit = ''] = SIZE.exec(text.trim()) ?? [];
  if (digits === '') {
    throw settingError('it is not a size', 'Write digits and one unit of k, m, g or t, e.g. 32g or 500M.');
  }
  const bytes = Number(digits) * (UNIT[unit.toLowerCase()] ?? 1);
  if (!Number.isSafeInteger(bytes)) {
    throw settingError('the size is too large', 'Write a size below 8192t.');
  }
  return bytes;
}
