import { EXIT, type Command, type Flag } from './command.ts';
import { commandsPage } from './commands-page.ts';
import { errorsPage } from './errors-page.ts';
import { metricsPage } from './metrics-page.ts';
import { settingsPage } from './settings-page.ts';

const PAGE_FLAG: Flag = {
  flags: '--page <page>',
  help: 'which page of docs/reference/ to print',
  choices: ['configuration', 'cli', 'errors', 'metrics'],
  default: 'configuration',
};

/** `breakwater config docs`. */
export const CONFIG_DOCS: Command = {
  name: ['config', 'docs'],
  summary: 'Print a reference page, in Markdown, as it is made from the declarations',
  flags: [PAGE_FLAG],
  settings: false,
  examples: [
    { line: 'breakwater config docs', help: 'The page of all settings' },
    {
      line: 'breakwater config docs --page cli > docs/reference/cli.md',
      help: 'Renew the page of all commands',
    },
  ],
  async run({ stdout, commands }, flags) {
    const page = flags['page'];
    if (page === 'cli') stdout.write(commandsPage(commands));
    else if (page === 'metrics') stdout.write(metricsPage());
    else stdout.write(page === 'errors' ? errorsPage() : settingsPage());
    return EXIT.ok;
  },
};
