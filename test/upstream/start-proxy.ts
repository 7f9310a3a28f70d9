import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, on, once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { expectMarkedSettings, expectNoSecretFiles, expectNoSecrets } from '../support/marked-secrets.ts';
import { knowsSecrets, type ScriptedServer } from './scripted-server.ts';
import { upstreamCa } from './test-tls.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

/** The file system has no reliable news, so it is asked this often. */
const POLL_MS = 5;

/** One line of the access log: every value is a string. */
type LogLine = Readonly<Record<string, string>>;

export interface ProxyOptions {
  /** Servers that are intercepted; all others are reached only by redirects and realms. */
  readonly registries: readonly Pick<ScriptedServer, 'tls' | 'host'>[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * The proxy in a process of its own, with folders of its own. Its disposal fails where a secret is in what it wrote:
 * its output, its files but whole blobs.
 */
export interface ProxyProcess extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly cacheDir: string;
  /** The PEM that its clients must trust. */
  readonly ca: string;
  /** The access log since it was first started. */
  readonly lines: readonly LogLine[];
  /** The first line that was not given by an earlier call and that `test` accepts, however late it comes. */
  line(test: (line: LogLine) => boolean): Promise<LogLine>;
  /** All it wrote to stderr. */
  readonly stderr: string;
  /** Settles when an object is whole, verified and has its name in the cache. */
  stored(object: { readonly digest: string }): Promise<void>;
  /** Names of the files below a folder of the cache. */
  files(folder: 'blobs' | 'partial'): Promise<string[]>;
  /** Bytes of memory it has now, and had at most. */
  rss(): { readonly now: number; readonly peak: number };
  /** Ends it as a supervisor does; gives its exit code. */
  stop(): Promise<number | null>;
  /** Ends it as a power failure does. */
  kill(): Promise<void>;
  /** Starts it again on the same folders, after `stop` or `kill`; its port is another. */
  start(): Promise<void>;
  /** Stops it and starts it again. */
  restart(): Promise<void>;
}

export async function startProxy(options: ProxyOptions): Promise<ProxyProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-upstream-'));
  const cacheDir = join(folder, 'cache');
  const caDir = join(folder, 'ca');
  const extraCa = join(folder, 'upstream-ca.crt');
  await writeFile(extraCa, await upstreamCa());
  const env = {
    PATH: process.env['PATH'] ?? '',
    LISTEN: '127.0.0.1:0',
    // many run at a time
    ADMIN_LISTEN: 'off',
    CACHE_DIR: cacheDir,
    CA_DIR: caDir,
    // everything upstream is on this machine
    ALLOW_LOCAL_ADDRESSES: '127.0.0.0/8',
    EXTRA_CA_FILE: extraCa,
    // what is asked upstream must not depend on how fast a test is
    TAG_CHECK_INTERVAL: '0',
    REGISTRIES: options.registries.map(({ tls, host }) => (tls ? host : `http://${host}`)).join(' '),
    DISABLE_IPV6: 'true',
    ...options.env,
  };
  expectMarkedSettings(env);
  for (const { host } of options.registries) knowsSecrets(host);

  const lines: LogLine[] = [];
  const given = new Set<LogLine>();
  const news = new EventEmitter<{ line: [] }>().setMaxListeners(0);
  let child: ChildProcess;
  let stderr = '';
  let port = 0;
  let ca = '';

  async function start(): Promise<void> {
    // setpriv (util-linux) becomes the proxy, and has it end with this process: a test that timed out closes nothing
    const command = ['--pdeathsig', 'KILL', process.execPath, MAIN, 'serve'];
    const started = spawn('setpriv', command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    createInterface({ input: started.stdout }).on('line', (text) => {
      lines.push(parseLine(text));
      news.emit('line');
    });
    const messages = createInterface({ input: started.stderr });
    const listening = new Promise<number>((resolve, reject) => {
      messages.on('line', (text) => {
        stderr += `${text}\n`;
        const [, digits] = /listening on\s+\S+:(\d+)/.exec(text) ?? [];
        if (digits !== undefined) resolve(Number(digits));
      });
      started.once('exit', (code) => reject(new Error(`the proxy ended at its start (${code}):\n${stderr}`)));
    });
    port = await listening;
    ca = await readFile(join(caDir, 'ca.crt'), 'utf8');
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
    return child.exitCode;
  }

  await start();
  return {
    get port() {
      return port;
    },
    get pid() {
      return child.pid ?? 0;
    },
    get ca() {
      return ca;
    },
    get stderr() {
      return stderr;
    },
    cacheDir,
    lines,
    async line(test) {
      const find = (): LogLine | undefined => lines.find((line) => !given.has(line) && test(line));
      let found = find();
      if (found === undefined) {
        for await (const _ of on(news, 'line')) {
          found = find();
          if (found !== undefined) break;
        }
      }
      if (found === undefined) throw new Error('the access log ended');
      given.add(found);
      return found;
    },
    async stored({ digest }) {
      const path = join(cacheDir, 'blobs', ...digest.split(':'));
      while (!existsSync(path)) await delay(POLL_MS);
    },
    async files(folder) {
      const entries = await readdir(join(cacheDir, folder), { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    },
    rss() {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      const field = (name: string): number =>
        Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
      return { now: field('VmRSS'), peak: field('VmHWM') };
    },
    start,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
    async restart() {
      await end('SIGTERM');
      await start();
    },
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
      try {
        expectNoSecrets(['stdout', JSON.stringify(lines)], ['stderr', stderr]);
        await expectNoSecretFiles(cacheDir);
        await expectNoSecretFiles(caDir);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

function parseLine(text: string): LogLine {
  try {
    // the access log's own contract: an object whose values are strings
    return JSON.parse(text) as LogLine;
  } catch (cause) {
    throw new Error(`the proxy wrote a line to stdout that is not JSON: ${text}`, { cause });
  }
}
