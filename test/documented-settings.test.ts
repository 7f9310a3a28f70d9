import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../src/cli/commands.ts';
import { commandsPage } from '../src/cli/commands-page.ts';
import { errorsPage } from '../src/cli/errors-page.ts';
import { metricsPage } from '../src/cli/metrics-page.ts';
import { settingsPage } from '../src/cli/settings-page.ts';
import { loadConfig } from '../src/config/config.ts';
import { SETTING_NAMES, SETTINGS } from '../src/config/settings.ts';
import type { Setting } from '../src/config/setting.ts';
import { LABELS, METRICS, type Metric } from '../src/observe/metrics.ts';
import { ERRORS } from '../src/registry/errors.ts';

const doc = (path: string) => readFile(new URL(`../docs/${path}.md`, import.meta.url), 'utf8');
const page = (name: string) => doc(`reference/${name}`);
const sorted = (words: Iterable<string>) => [...words].sort();

/** What stands in code at the start of each row of a page's tables. */
function firstCells(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name);
}

describe('docs/reference/configuration.md', () => {
  test('lists exactly the settings that are declared', async () => {
    const declared = SETTING_NAMES.map((name) => SETTINGS[name].env);
    expect(sorted(firstCells(await page('configuration')))).toEqual(sorted(declared));
  });

  test('names every alias', async () => {
    const markdown = await page('configuration');
    const settings: readonly Setting<unknown>[] = SETTING_NAMES.map((name) => SETTINGS[name]);
    for (const alias of settings.flatMap(({ aliases = [] }) => aliases))
      expect(markdown).toContain(`\`${alias}\``);
  });

  test('is what "breakwater config docs" prints', async () => {
    expect(await page('configuration')).toBe(settingsPage());
  });
});

describe('docs/how-to/configuration-file.md', () => {
  test('the example is a file that can be used, and sets what it says', async () => {
    const [, yaml = ''] = /^```yaml\n(.*?)^```$/ms.exec(await doc('how-to/configuration-file')) ?? [];
    const files = { isFolder: () => false, read: () => yaml };
    const { config, sources } = loadConfig({ CONFIG_FILE: 'breakwater.yaml' }, files);
    expect(config.tagRules.map(({ fresh, revalidate }) => fresh ?? revalidate)).toEqual([
      31_536_000_000,
      true,
      3_600_000,
    ]);
    expect(config.credentials.map(({ password }) => password.reveal())).toEqual([
      'an access token',
      'another: with #signs',
    ]);
    const written = Object.values(sources).filter(({ from }) => from === 'file');
    expect(written).toHaveLength(16);
  });

  test('names every key of a rule', async () => {
    const rules = SETTINGS.tagRules.help.match(/(?<=`)[a-z]+(?=`)/g) ?? [];
    expect(sorted(firstCells(await doc('how-to/configuration-file')))).toEqual(sorted(rules));
  });
});

describe('docs/reference/cli.md', () => {
  test('lists exactly the commands that are declared', async () => {
    const headings = [...(await page('cli')).matchAll(/^## `breakwater ([^`]+)`$/gm)].map(
      ([, name = '']) => name,
    );
    expect(sorted(headings)).toEqual(sorted(COMMANDS.map(({ name }) => name.join(' '))));
  });

  test('is what "breakwater config docs --page cli" prints', async () => {
    expect(await page('cli')).toBe(commandsPage(COMMANDS));
  });
});

describe('docs/reference/errors.md', () => {
  test('lists exactly the errors that are declared', async () => {
    expect(sorted(firstCells(await page('errors')))).toEqual(sorted(Object.keys(ERRORS)));
  });

  test('is what "breakwater config docs --page errors" prints', async () => {
    expect(await page('errors')).toBe(errorsPage());
  });
});

describe('docs/reference/metrics.md', () => {
  test('lists exactly the metrics and the labels that are declared', async () => {
    const declared = [...Object.keys(METRICS), ...Object.keys(LABELS)];
    expect(sorted(firstCells(await page('metrics')))).toEqual(sorted(declared));
    const used = Object.values<Metric>(METRICS).flatMap(({ labels }) => labels);
    expect(sorted(new Set(used))).toEqual(sorted(Object.keys(LABELS)));
  });

  test('is what "breakwater config docs --page metrics" prints', async () => {
    expect(await page('metrics')).toBe(metricsPage());
  });
});
