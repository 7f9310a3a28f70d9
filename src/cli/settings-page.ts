import type { Setting } from '../config/setting.ts';
import { SETTING_GROUPS, type SettingGroup } from '../config/settings.ts';

const INTRODUCTION = `# Configuration

<!-- Made by "breakwater config docs"; change the declarations in src/config/settings/ instead. -->

Every setting is an environment variable, a flag if it is no secret (\`--cache-max-size\` for \`CACHE_MAX_SIZE\`), and has a
place in the YAML file that \`CONFIG_FILE\` or \`--config\` names: \`cache.max_size\` is the key \`max_size\` below the key
\`cache\`. A flag wins over the environment, the environment over the file, and the file over the default.
[The annotated example](../how-to/configuration-file.md) shows a whole file. \`breakwater config check\` tells whether the
settings can be used, with the line and column of what is wrong in the file, and \`breakwater config show\` which are in
force and where each came from.

The file is read again on SIGHUP. What it changes then needs no more than that reload, or, where the last column says so,
a restart; see [how to change it](../how-to/configuration-file.md#change-it-while-the-proxy-runs).

An empty variable counts as unset, and one pair of quotes around its value is taken off.

- **Booleans** are \`true\` or \`false\`.
- **Sizes** are nginx's: digits and one unit of \`k m g t\` in either case, e.g. \`32g\`.
- **Times** are nginx's: numbers with the units \`y M w d h m s ms\`, the largest first, e.g. \`1h 30m\`; a bare number is
  seconds.
- **Secrets** may also be read from a file: \`NAME_FILE\` names it, and one line end is taken off. They are never shown.
`;

/** The Markdown of `docs/reference/configuration.md`. */
export function settingsPage(): string {
  return [INTRODUCTION, ...SETTING_GROUPS.map(groupText)].join('\n');
}

function groupText({ title, settings }: SettingGroup): string {
  const rows = Object.values(settings).map(
    (setting) =>
      `| \`${setting.env}\` | ${placeCell(setting)} | ${defaultCell(setting)} | ${escapeCell(meaning(setting))} | ${setting.takesEffect} |`,
  );
  return [
    `## ${title}`,
    '',
    '| Name | In the file | Default | Meaning | A change needs |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function meaning({ env, help, aliases = [], secret }: Setting<unknown>): string {
  const also =
    aliases.length === 0 ? '' : ` Also read as ${aliases.map((alias) => `\`${alias}\``).join(', ')}.`;
  const file = secret === true ? ` Secret; also read from the file that \`${env}_FILE\` names.` : '';
  return help + also + file;
}

function placeCell({ path }: Setting<unknown>): string {
  return path === undefined ? 'not there' : `\`${path}\``;
}

function defaultCell({ default: value }: Setting<unknown>): string {
  if (value === undefined || value === '') return 'none';
  if (value === ' ') return 'one space';
  if (typeof value === 'string') return `\`${escapeCell(value)}\``;
  return `\`${value.folder}\` if that folder exists, else \`${value.otherwise}\``;
}

/** A bar ends a cell, in code too. */
function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}
