import { dirname, join } from 'node:path';
import { Job, run, type Exit, type Output } from '../lab/job.ts';
import { expectMarkedSettings, expectNoSecretFiles, expectNoSecrets } from './marked-secrets.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const HOST = '127.0.0.1';

/** The settings of a proxy as variables of its environment. */
export type Settings = Readonly<Record<string, string>>;

/** The command that runs the proxy from source, and nothing of the machine's own settings around it. */
export function serveCommand(settings: Settings): {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
} {
  expectMarkedSettings(settings);
  return {
    argv: [process.execPath, MAIN, 'serve'],
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...settings },
  };
}

/**
 * Runs a proxy that is not expected to start; fails where it tells a secret of why.
 * @param before a command that runs the one behind it.
 */
export async function tryToServe(settings: Settings, before: readonly string[] = []): Promise<Output> {
  const { argv, env } = serveCommand(settings);
  const output = await run([...before, ...argv], { env, mayFail: true, timeoutMs: 20_000 });
  expectNoSecrets(['stdout', output.stdout], ['stderr', output.stderr]);
  return output;
}

/**
 * A proxy on a free port of this machine, for tests that speak to it themselves. Its disposal fails where a secret is
 * in what it wrote: its output, its files but whole blobs.
 */
export class LocalProxy implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  readonly caFile: string;
  readonly cacheDir: string;
  readonly #job: Job;

  constructor(job: Job, port: number, folder: string) {
    this.#job = job;
    this.port = port;
    this.caFile = join(folder, 'ca', 'ca.crt');
    this.cacheDir = join(folder, 'cache');
  }

  get pid(): number {
    return this.#job.pid;
  }

  /** The lines it wrote to stderr. */
  get log(): readonly string[] {
    return this.#job.stderr.all;
  }

  /** The lines it wrote to stdout. */
  get accessLog(): readonly string[] {
    return this.#job.stdout.all;
  }

  get running(): boolean {
    return this.#job.running;
  }

  get exited(): Promise<Exit> {
    return this.#job.exited;
  }

  untilLogged(test: (line: string) => boolean): Promise<string> {
    return this.#job.stderr.until(test);
  }

  /** Resolves with the first line of the access log that `test` accepts. */
  async untilAnswered(test: (entry: Record<string, string>) => boolean): Promise<Record<string, string>> {
    // Every value of the access log is a string.
    const parse = (line: string): Record<string, string> => JSON.parse(line) as Record<string, string>;
    return parse(await this.#job.stdout.until((line) => test(parse(line))));
  }

  signal(signal: NodeJS.Signals): void {
    this.#job.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#job.stop('SIGKILL');
    expectNoSecrets(['stdout', this.accessLog.join('\n')], ['stderr', this.log.join('\n')]);
    await expectNoSecretFiles(this.cacheDir);
    await expectNoSecretFiles(dirname(this.caFile));
  }
}

/**
 * Starts a proxy whose CA and cache are in `folder`; started there again, it finds them.
 * @param before a command that becomes the one behind it.
 */
export async function startLocalProxy(
  folder: string,
  settings: Settings = {},
  before: readonly string[] = [],
): Promise<LocalProxy> {
  const { argv, env } = serveCommand({
    LISTEN: `${HOST}:0`,
    // many run at a time
    ADMIN_LISTEN: 'off',
    CACHE_DIR: join(folder, 'cache'),
    CA_DIR: join(folder, 'ca'),
    // everything upstream is on this machine
    ALLOW_LOCAL_ADDRESSES: '127.0.0.0/8',
    ...settings,
  });
  const job = new Job([...before, ...argv], { env });
  const line = await job.stderr.until((text) => text.includes('listening on'));
  return new LocalProxy(job, Number(line.split(':').at(-1)), folder);
}
