import type { SettingSource } from '../config/config.ts';
import { SETTING_NAMES, SETTINGS } from '../config/settings.ts';
import { EXIT, type Command } from './command.ts';
import { FORMAT_FLAG, jsonText, wantsJson } from './format-flag.ts';
import { loadSettings } from './setting-flags.ts';
import { tableText } from './table.ts';

/** `breakwater config show`. */
export const CONFIG_SHOW: Command = {
  name: ['config', 'show'],
  summary:
    'Show every setting, its value, where the value came from and when a change takes effect; secrets stay hidden',
  flags: [FORMAT_FLAG],
  settings: true,
  examples: [
    { line: 'breakwater config show', help: 'A table of all settings' },
    { line: 'breakwater config show --format json', help: 'The same for programs' },
    { line: 'breakwater config show --config breakwater.yaml', help: 'With the settings of a file too' },
  ],
  async run({ env, stdout }, flags) {
    const { sources } = loadSettings(env, flags);
    const rows = SETTING_NAMES.map((name) => ({
      setting: SETTINGS[name].env,
      takesEffect: SETTINGS[name].takesEffect,
      source: sources[name],
    }));
    if (wantsJson(flags)) {
      stdout.write(
        jsonText(
          rows.map(({ setting, takesEffect: when, source: { text, from, variable, place } }) => ({
            setting,
            value: text ?? null,
            source: from,
            variable,
            ...(place === undefined ? {} : { place }),
            takesEffect: when,
          })),
        ),
      );
      return EXIT.ok;
    }
    const lines = rows.map(({ setting, source, takesEffect: when }) => [
      setting,
      shownValue(source.text),
      origin(setting, source),
      when,
    ]);
    stdout.write(tableText([['SETTING', 'VALUE', 'SOURCE', 'A CHANGE NEEDS'], ...lines]));
    return EXIT.ok;
  },
};

/** Quoted where the value would not be seen in a table. */
function shownValue(text: string | undefined): string {
  if (text === undefined || text === '') return '-';
  return text.trim() === text && !text.includes('\n') ? text : JSON.stringify(text);
}

function origin(setting: string, { from, variable, place }: SettingSource): string {
  if (place !== undefined) return `file ${place.file}:${place.line}`;
  if (from === 'flag') return `flag (${variable})`;
  if (from === 'secret-file') return `file (${variable})`;
  return variable === setting ? from : `${from} (${variable})`;
}
