import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAuthority } from '../src/ca/authority.ts';
import { runCli } from '../src/cli/run-cli.ts';
import { loadConfig } from '../src/config/config.ts';
import { SETTING_NAMES, SETTINGS } from '../src/config/settings.ts';
import type { Setting } from '../src/config/setting.ts';
import { createSite } from '../src/doors/site/site.ts';
import { createAccessLog } from '../src/observe/access-log.ts';
import { cacheHeaders, createExchange, type Exchange } from '../src/pulls/exchange.ts';
import { digestOf } from '../src/registry/digest.ts';
import { asBreakwaterError, ERRORS } from '../src/registry/errors.ts';
import { registryHost } from '../src/registry/registry-host.ts';
import { openLayout } from '../src/store/disk/layout.ts';
import { openIndex } from '../src/store/index/database.ts';

const ROOT = resolve(import.meta.dirname, '..');
/** These are made from the declarations, and compared with them elsewhere. */
const GENERATED = new Set(
  ['configuration', 'cli', 'errors', 'metrics'].map((name) => `docs/reference/${name}.md`),
);

interface Page {
  readonly path: string;
  readonly text: string;
}

const PAGES: readonly Page[] = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
].map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));

const page = (path: string): string => PAGES.find((candidate) => candidate.path === path)?.text ?? '';
const sorted = (words: Iterable<string>): string[] => [...new Set(words)].sort();
const match = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, found = '']) => found);

/** The fenced blocks of one kind, without the indent they stand at. */
function blocks(text: string, kind: string): string[] {
  const fence = new RegExp(`^( *)\`\`\`${kind}\\n([\\s\\S]*?)^\\1\`\`\`$`, 'gm');
  return [...text.matchAll(fence)].map(([, indent = '', body = '']) => body.replaceAll(`\n${indent}`, '\n'));
}

/** What stands in code in a column of a text's tables, counted from 1. */
function cells(text: string, column: number): string[] {
  const rows = text.split('\n').filter((line) => line.startsWith('| `'));
  return rows.flatMap((row) => match(row.split(/(?<!\\)\|/)[column] ?? '', /`([^`]+)`/g));
}

function sectionOf(text: string, heading: string): string {
  const start = text.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`no heading "${heading}"`);
  const level = /^#+/.exec(heading)?.[0].length ?? 0;
  const rest = text.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'));
  return end < 0 ? rest : rest.slice(0, end);
}

const folder = mkdtempSync(join(tmpdir(), 'breakwater-docs-'));
/** A proxy that is ready, for those who ask whether it is. */
const ready = createServer((_, response) => void response.end('{"ready":true}'));
const STAND_INS: Record<string, string> = {
  CA_DIR: folder,
  CA_CRT_FILE: join(folder, 'ca.crt'),
  CA_KEY_FILE: join(folder, 'ca.key'),
  CA_KEY_PASSPHRASE_FILE: join(folder, 'passphrase'),
  AUTH_REGISTRIES_FILE: join(folder, 'auth-registries'),
  CONFIG_FILE: join(folder, 'breakwater.yaml'),
};

beforeAll(async () => {
  await loadAuthority({ directory: folder });
  writeFileSync(join(folder, 'passphrase'), 'secret\n');
  writeFileSync(join(folder, 'auth-registries'), 'auth.docker.io:user:secret\n');
  const [example = ''] = blocks(page('docs/how-to/configuration-file.md'), 'yaml');
  writeFileSync(join(folder, 'breakwater.yaml'), example);
  await once(ready.listen(0, '127.0.0.1'), 'listening');
  STAND_INS['ADMIN_LISTEN'] = `127.0.0.1:${(ready.address() as AddressInfo).port}`;
});

afterAll(() => {
  ready.close();
  rmSync(folder, { recursive: true });
});

describe('commands', () => {
  const scripts = PAGES.flatMap(({ path, text }) => blocks(text, 'sh').map((script) => ({ path, script })));

  test('are there to be checked', () => {
    expect(scripts.length).toBeGreaterThan(40);
  });

  test('are shell', () => {
    const broken = scripts.filter(({ script }) => spawnSync('sh', ['-n'], { input: script }).status !== 0);
    expect(broken).toEqual([]);
  });

  const lines = scripts.flatMap(({ path, script }) =>
    script
      .replaceAll('\\\n', '')
      .split('\n')
      .map((line) => parseLine(path, line))
      .filter((line) => line !== undefined),
  );

  test.each(lines)('$path: $text', async ({ env, argv, exit }) => {
    // the files of the examples are the reader's; where a line is meant to work, ours stand in
    const stands = exit === 0 ? STAND_INS : {};
    const given = Object.entries(env).map(([name, value]) => [name, stands[name] ?? value] as const);
    const said: string[] = [];
    const code = await runCli({
      argv: argv.map((word) => (exit === 0 && word.endsWith('.yaml') ? join(folder, basename(word)) : word)),
      env: { CA_DIR: folder, ADMIN_LISTEN: STAND_INS['ADMIN_LISTEN'], ...Object.fromEntries(given) },
      version: '0.1.0',
      stdout: { write: (text) => said.push(text) },
      stderr: { write: (text) => said.push(text) },
      serve: async () => 0,
    });
    expect({ code, said: code === exit ? [] : said }).toEqual({ code: exit, said: [] });
  });

  test('name scripts of the package and files that are there', () => {
    const described: unknown = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const known = Object.keys((described as { scripts: Record<string, string> }).scripts);
    const text = scripts.map(({ script }) => script).join('\n');
    const called = [...match(text, /npm run ([\w:-]+)/g), ...match(text, /npm (start|test)\b/g)];
    expect(called.filter((name) => !known.includes(name))).toEqual([]);
    const files = match(text, /(?:node|vitest run|^)\s*((?:\.\/bin|test|src)\/[\w./-]+)/gm);
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });
});

/** A call of ours: what goes before it are settings, and what comes after a pipe or into a file is left out. */
function parseLine(path: string, line: string) {
  const [, code = '0'] = /# exits (\d+)\s*$/.exec(line) ?? [];
  const text = line.replace(/\s#.*$/, '');
  const call =
    /^\s*((?:[A-Z_]+=(?:"[^"]*"|'[^']*'|[^\s"']*)\s+)*)(?:\.\/bin\/)?(breakwater|npm start)\b([^|>&]*)/;
  const [, settings = '', program, rest = ''] = call.exec(text.split(' && ').at(-1) ?? '') ?? [];
  if (program === undefined) return undefined;
  const pairs = settings.matchAll(/([A-Z_]+)=(?:"([^"]*)"|'([^']*)'|(\S*))/g);
  const env = Object.fromEntries(
    [...pairs].map(([, name = '', double, single, bare]) => [name, double ?? single ?? bare ?? '']),
  );
  const argv = program === 'npm start' ? ['serve'] : rest.split(/\s+/).filter((word) => word !== '');
  return { path, text: text.trim(), env, argv, exit: Number(code) };
}

describe('names in upper case', () => {
  const declared: readonly Setting<unknown>[] = SETTING_NAMES.map((name) => SETTINGS[name]);
  const settings = [
    ...declared.map(({ env }) => env),
    ...declared.flatMap(({ aliases = [] }) => aliases),
    ...declared.filter(({ secret }) => secret === true).map(({ env }) => `${env}_FILE`),
  ];
  const errors = Object.entries(ERRORS).flatMap(([code, { oci }]) => [code, oci]);
  const ofClients = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'CURL_CA_BUNDLE'];
  const ofClouds = [
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_ROLE_ARN',
    'AWS_WEB_IDENTITY_TOKEN_FILE',
    'GOOGLE_APPLICATION_CREDENTIALS',
    'AZURE_CLIENT_ID',
    'AZURE_TENANT_ID',
    'AZURE_FEDERATED_TOKEN_FILE',
    'AZURE_CLIENT_SECRET',
  ];
  const known = new Set([...settings, ...errors, ...ofClients, ...ofClouds, 'NODE_EXTRA_CA_CERTS']);

  test.each(PAGES.filter(({ path }) => !GENERATED.has(path)))('are known: $path', ({ text }) => {
    const inText = match(text, /`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g);
    const set = match(text, /`([A-Z]{3,})=[^`]*`/g);
    const inScripts = blocks(text, 'sh').flatMap((script) => match(script, /(?:^|[\s;])([A-Z][A-Z_]+)=/gm));
    const named = [...inText, ...set, ...inScripts];
    expect(sorted(named.filter((name) => !known.has(name)))).toEqual([]);
  });

  test('that are said to be without effect are settings', () => {
    const migrate = page('docs/how-to/migrate-from-docker-registry-proxy.md');
    const named = match(sectionOf(migrate, '## Settings without effect'), /`([A-Z_]+)`/g);
    expect(named.filter((name) => !settings.includes(name))).toEqual([]);
  });

  test('have values that can be used', () => {
    const examples = PAGES.flatMap(({ text }) => match(text, /`([A-Z]+(?:_[A-Z]+)+=[\w.:]+)`/g));
    const env = Object.fromEntries(examples.map((example) => example.split('=')));
    expect(() => loadConfig(env)).not.toThrow();
  });
});

describe('links', () => {
  test.each(PAGES)('of $path lead somewhere', ({ path, text }) => {
    const targets = match(text, /\]\(([^)\s]+)\)/g).filter((target) => !/^[a-z]+:/.test(target));
    const broken = targets.filter((target) => {
      const [file = '', anchor] = target.split('#');
      const full = file === '' ? join(ROOT, path) : resolve(ROOT, dirname(path), file);
      if (!existsSync(full)) return true;
      return anchor !== undefined && !anchors(page(relative(ROOT, full))).includes(anchor);
    });
    expect(broken).toEqual([]);
  });
});

/** The anchors of headings, as GitHub makes them. */
function anchors(text: string): string[] {
  return match(text, /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe('docs/reference/log-format.md', () => {
  const path = 'docs/reference/log-format.md';

  test('lists exactly the keys of the access log', () => {
    const lines: string[] = [];
    const log = createAccessLog(
      (line) => lines.push(line),
      () => 1_000,
    );
    const exchange = fakeExchange();
    exchange.outcome.digest = digestOf(Buffer.from('bytes'));
    exchange.outcome.error = asBreakwaterError(new TypeError('a fault'));
    log(exchange);
    const entry = JSON.parse(lines.join('')) as Record<string, unknown>;
    const [keys = ''] = sectionOf(page(path), '## Access log').split('\n### ');
    expect(sorted(cells(keys, 1))).toEqual(sorted(Object.keys(entry)));
    expect(Object.values(entry).every((value) => typeof value === 'string')).toBe(true);
  });

  test('and the README show lines with those keys', () => {
    const shown = [path, 'README.md'].flatMap((name) => blocks(page(name), 'json'));
    const lines = shown.map((text) => JSON.parse(text) as Record<string, unknown>);
    const keys = lines.filter((line) => 'access_time' in line).flatMap((line) => Object.keys(line));
    expect(keys.length).toBeGreaterThan(0);
    expect(sorted(keys).filter((key) => !cells(page(path), 1).includes(key))).toEqual([]);
  });
});

describe('docs/reference/http.md', () => {
  const path = 'docs/reference/http.md';

  test('lists exactly the pages that the proxy serves', async () => {
    const site = createSite(await loadAuthority({ directory: folder }));
    const server = createServer(site).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const listed = cells(sectionOf(page(path), "## The proxy's own pages"), 1);
    const statuses = await Promise.all(
      listed.map(async (target) => (await fetch(`http://127.0.0.1:${port}${target}`)).status),
    );
    const missing = await fetch(`http://127.0.0.1:${port}/nothing`);
    server.close();
    expect(statuses).toEqual(listed.map(() => 200));
    expect(missing.status).toBe(404);
    const served = match(readFileSync(join(ROOT, 'src/doors/site/site.ts'), 'utf8'), /case '(\/[^']*)'/g);
    expect(sorted(listed.map((target) => target.replace(/\?.*/, '')))).toEqual(sorted(served));
  });

  test('names the headers of every answer', () => {
    const exchange = fakeExchange();
    exchange.outcome.cacheStatus = 'STALE';
    const named = cells(sectionOf(page(path), '## Response headers'), 1);
    expect(named).toEqual(expect.arrayContaining(Object.keys(cacheHeaders(exchange))));
  });
});

describe('docs/reference/on-disk-layout.md', () => {
  const path = 'docs/reference/on-disk-layout.md';

  test('lists exactly what is in a cache folder, and the tables of its index', () => {
    const root = join(folder, 'layout');
    const { layout } = openLayout(root);
    const index = openIndex(layout.index);
    const columns = index.database
      .prepare(
        "SELECT m.name AS name, c.name AS column FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
      )
      .all();
    index.close();
    const entries = readdirSync(root, { recursive: true, withFileTypes: true })
      .map((entry) => {
        const name = relative(root, join(entry.parentPath, entry.name));
        return entry.isDirectory() ? `${name}/` : name;
      })
      .filter((name) => name !== 'blobs/');
    const [overview = ''] = page(path).split('\n## ');
    const listed = match(overview, /^\| `([^`]+)`/gm);
    expect(sorted(listed)).toEqual(sorted(entries));
    const rows = sectionOf(page(path), '## The index').split('\n');
    const documented = rows.flatMap((row) => {
      const [, table = '', names = ''] = /^\| `(\w+)` \| ([^|]+) \|/.exec(row) ?? [];
      return match(names, /`(\w+)`/g).map((column) => `${table}.${column}`);
    });
    expect(sorted(documented)).toEqual(
      sorted(columns.map((row) => `${String(row['name'])}.${String(row['column'])}`)),
    );
  });
});

describe('docs/explanation/dependencies.md', () => {
  test('has a line for each dependency, and for nothing else', () => {
    const described = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<string, object>;
    const names = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
      Object.keys(described[kind] ?? {}),
    );
    expect(sorted(cells(page('docs/explanation/dependencies.md'), 1))).toEqual(sorted(names));
  });
});

describe('docs/explanation/architecture.md', () => {
  test('has the layers that the linter enforces', () => {
    const said = readFileSync(join(ROOT, '.oxlintrc.json'), 'utf8').matchAll(
      /"message": "src\/(\w+)\/ may import only from itself(?: and ([\w, ]+))?:/g,
    );
    const enforced = [...said].map(
      ([, layer, below = '']) => `${layer}: ${sorted(below.split(', ')).join()}`,
    );
    const rows = sectionOf(page('docs/explanation/architecture.md'), '## The house').split('\n');
    const documented = rows.flatMap((row) => {
      const [, layer, below = ''] = /^\| `src\/(\w+)\/` \|[^|]+\|([^|]+)\|$/.exec(row) ?? [];
      return layer === undefined ? [] : [`${layer}: ${sorted(match(below, /`(\w+)`/g)).join()}`];
    });
    expect(sorted(documented)).toEqual(sorted(enforced));
    const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    expect(sorted(documented.map((row) => row.split(':')[0] ?? ''))).toEqual(
      sorted(folders.map(({ name }) => name)),
    );
  });
});

/** As much of an exchange as is looked at when it has finished. */
function fakeExchange(): Exchange {
  const request = { method: 'GET', url: '/v2/a/manifests/1?token=secret', headers: {} };
  const response = { headersSent: true, statusCode: 200, writableFinished: true };
  return createExchange(
    request as unknown as IncomingMessage,
    response as unknown as ServerResponse,
    registryHost('quay.io', 443),
    { address: '127.0.0.1', user: { name: 'alice' } },
    0,
  );
}
