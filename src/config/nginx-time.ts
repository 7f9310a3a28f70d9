import { settingError } from './setting.ts';

/** Milliseconds a unit; the order is the one in which the parts of a compound time must stand. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ['y', 31_536_000_000],
  ['M', 2_592_000_000],
  ['w', 604_800_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]);
const ORDER = [...UNITS.keys()];
const PART = /(\d+)(ms|[yMwdhms])? */gy;
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Parses a time as nginx writes it: `60s`, `500ms`, `1h 30m`, `1h30m`; a number without a unit is seconds.
 * Units are `y M w d h m s ms` (365 and 30 days for `y` and `M`), each at most once, the largest first.
 * Returns milliseconds. Throws `SETTING_INVALID`. Source: nginx `ngx_parse_time`.
 */
export function parseTime(text: string): number {
  const trimmed = text.trim();
  let total = 0;
  let last = -1;
  let consumed = 0;
  for (const [part, digits = '', unit = 's'] of trimmed.matchAll(PART)) {
    const position = ORDER.indexOf(unit);
    if (position <= last) throw malformed('each unit may stand once, the largest first');
    last = position;
    consumed += part.length;
    total += Number(digits) * (UNITS.get(unit) ?? 0);
  }
  if (consumed === 0 || consumed < trimmed.length) throw malformed('it is not a time');
  if (!Number.isSafeInteger(total)) throw malformed('the time is too long');
  return total;
}

/** Parses a time that runs a timer; what is longer than Node's longest timer (24 days) becomes that. */
export function parseTimeout(text: string): number {
  return Math.min(parseTime(text), LONGEST_TIMER);
}

function malformed(reason: string): Error {
  return settingError(reason, 'Write numbers with the units y M w d h m s ms, e.g. 60s, 10m, 1h 30m or 60d.');
}
