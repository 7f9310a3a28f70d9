import { loadConfig, type SettingSource } from '../config/config.ts';
import { SETTING_NAMES, SETTINGS } from '../config/settings.ts';
import { EXIT, type Command } from './command.ts';
import { FORMAT_FLAG, jsonText, wantsJson } from './format-flag.ts';
import { tableText } from './table.ts';

/** `breakwater config show`. */
export const CONFIG_SHOW: Command = {
  name: ['config', 'show'],
  summary: 'Show every setting, its value and where the value came from; secrets stay hidden',
  flags: [FORMAT_FLAG],
  examples: [
    { line: 'breakwater config show', help: 'A table of all settings' },
    { line: 'breakwater config show --format json', help: 'The same for programs' },
  ],
  async run({ env, stdout }, flags) {
    const { sources } = loadConfig(env);
    const rows = SETTING_NAMES.map((name) => ({ setting: SETTINGS[name].env, source: sources[name] }));
    if (wantsJson(flags)) {
      stdout.write(
        jsonText(
          rows.map(({ setting, source: { text, from, variable, place } }) => ({
            setting,
            value: text ?? null,
            source: from,
            variable,
            ...(place === undefined ? {} : { place }),
          })),
        ),
      );
      return EXIT.ok;
    }
    const lines = rows.map(({ setting, source }) => [
      setting,
      shownValue(source.text),
      origin(setting, source),
    ]);
    stdout.write(tableText([['SETTING', 'VALUE', 'SOURCE'], ...lines]));
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
  if (from === 'secret-file') return `file (${variable})`;
  return variable === setting ? from : `${from} (${variable})`;
}
