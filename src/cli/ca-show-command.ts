import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, type Command } from './command.ts';
import { failureText } from './failure-text.ts';
import { FORMAT_FLAG, jsonText, wantsJson } from './format-flag.ts';
import { loadSettings } from './setting-flags.ts';
import { tableText } from './table.ts';

/** `breakwater ca show`. */
export const CA_SHOW: Command = {
  name: ['ca', 'show'],
  summary: 'Show the certificate authority that clients are to trust; it is never made by this command',
  flags: [FORMAT_FLAG],
  settings: true,
  examples: [
    { line: 'breakwater ca show', help: 'Subject, SHA-256 fingerprint, end of validity and path' },
    { line: 'CA_DIR=/srv/ca breakwater ca show --format json', help: 'Of another folder, for programs' },
  ],
  async run({ env, stdout, stderr }, flags) {
    const { config } = loadSettings(env, flags);
    const path = config.caCrtFile ?? join(config.caDir, 'ca.crt');
    if (!existsSync(path)) {
      const mend = 'Start the proxy once, which makes one, or set CA_DIR to the folder that holds it.';
      stderr.write(failureText(`there is no certificate authority at ${path}`, mend));
      return EXIT.failure;
    }
    // Loaded here: the certificate library is slow to load, and no other command needs it.
    const { loadAuthority } = await import('../ca/authority.ts');
    const authority = await loadAuthority({
      directory: config.caDir,
      certificateFile: config.caCrtFile,
      keyFile: config.caKeyFile,
      passphrase: config.caKeyPassphrase?.reveal(),
    });
    const { subject, fingerprint256 } = authority;
    const notAfter = authority.notAfter.toISOString();
    const rows = [
      ['Subject', subject],
      ['Fingerprint (SHA-256)', fingerprint256],
      ['Not after', notAfter],
      ['Path', path],
    ];
    stdout.write(wantsJson(flags) ? jsonText({ subject, fingerprint256, notAfter, path }) : tableText(rows));
    return EXIT.ok;
  },
};
